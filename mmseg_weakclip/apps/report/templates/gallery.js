'use strict';
// Sort, filter and layer of the gallery, and the links to its photos.
(function () {
  const get = (id) => document.getElementById(id);
  const controls = document.querySelector('.controls');
  if (!controls) return;
  const list = get('cards');
  const cards = Array.from(list.querySelectorAll('.card'));

  function compare(key) {
    return function (a, b) {
      if (key) {
        // A card without the pair comes last.
        const left = Number(a.getAttribute('data-' + key) ?? -1);
        const right = Number(b.getAttribute('data-' + key) ?? -1);
        if (left !== right) return right - left;
      }
      return a.dataset.title < b.dataset.title ? -1 : 1;
    };
  }

  function update() {
    const name = get('class').value;
    const split = get('split').value;
    const key = get('sort').value;
    let shown = 0;
    cards.sort(compare(key));
    for (const card of cards) {
      const classes = card.dataset.classes.split(' ');
      card.hidden = Boolean(
        (name && !classes.includes(name)) ||
        (split && card.dataset.split !== split));
      shown += !card.hidden;
      const share = key && card.getAttribute('data-' + key);
      card.querySelector('.sorted').textContent = share
        ? (100 * share).toFixed(0) + ' % disagreement' : '';
    }
    list.append(...cards);
    get('shown').textContent = shown + ' of ' + cards.length + ' shown';
    get('nothing').hidden = shown > 0;
  }

  for (const id of ['sort', 'class', 'split']) {
    get(id).addEventListener('change', update);
  }
  function showLayer() {
    const chosen = controls.querySelector('[name="layer"]:checked');
    if (chosen) list.dataset.layer = chosen.value;
  }
  for (const input of controls.querySelectorAll('[name="layer"]')) {
    input.addEventListener('change', showLayer);
  }
  const opacity = get('opacity');
  const fade = () => document.documentElement.style.setProperty(
    '--opacity', opacity ? opacity.value / 100 : 1);
  if (opacity) opacity.addEventListener('input', fade);
  controls.addEventListener('submit', (event) => event.preventDefault());
  controls.hidden = false;
  // Browsers keep what was chosen over a reload.
  update();
  showLayer();
  fade();

  for (const link of document.querySelectorAll('[data-card]')) {
    const card = get(link.dataset.card);
    const thumb = card.querySelector('.photo').cloneNode();
    thumb.className = 'thumb';
    thumb.alt = '';
    link.before(thumb);
    link.addEventListener('click', function () {
      if (card.hidden) {
        get('class').value = '';
        get('split').value = '';
        update();
      }
      // After the jump, so that Tab and Enter go on from the photo.
      setTimeout(() => card.querySelector('.open').focus(
        { preventScroll: true }));
    });
  }
})();
