# Own photos and their tags, on a CPU: what `weakclip run --method cam` starts
# from.
_base_ = [
    '../_base_/models/cam_lite0.py',
    '../_base_/datasets/photos_tags.py',
    '../_base_/schedules/cam_adamw.py',
    '../_base_/default_runtime.py',
]

# Iterations of a run: passes over its photos, within bounds. The longest takes
# about an hour on one core of a CPU.
run_length = dict(passes=5, least=300, most=1200)
tta_model = dict(type='CAMTTAModel')
