// A photo in large, with a slider over its masks.
(function () {
  const get = (id) => document.getElementById(id);
  const dialog = get('lightbox');
  if (!dialog || !dialog.showModal) return;
  const slider = get('layer');
  const stops = Array.from(dialog.querySelectorAll('.stops span'));
  let shown = null; // card of the photo

  const visible = () =>
    Array.from(document.querySelectorAll('.card:not([hidden])'));

  function showLayer(place) {
    slider.value = place;
    const stop = stops[slider.value];
    slider.setAttribute('aria-valuetext', stop.textContent);
    for (const other of stops) other.classList.toggle('on', other === stop);
    const role = stop.dataset.layer;
    for (const layer of get('stage').querySelectorAll('[data-role]')) {
      const on = layer.dataset.role === role;
      layer.classList.toggle('on', on);
      layer.setAttribute('aria-hidden', String(!on));
    }
    // The legend of this mask, then what is known of the photo.
    const side = get('side');
    side.replaceChildren();
    const add = function (heading, part) {
      const title = document.createElement('h3');
      title.textContent = heading;
      side.append(title, part);
    };
    const tags = shown.querySelector('.tags').cloneNode(true);
    add('Tags', tags);
    const legend = shown.querySelector(
      '.legend[data-role="' + role + '"]');
    if (legend) add('Classes by area', legend.cloneNode(true));
    side.append(
      ...shown.querySelector('.details').cloneNode(true).children);
  }

  function show(card) {
    shown = card;
    const all = visible();
    get('lightbox-name').textContent = card.dataset.title;
    get('lightbox-place').textContent =
      (all.indexOf(card) + 1) + ' of ' + all.length;
    const copies = Array.from(
      card.querySelector('.stack').children, (c) => c.cloneNode(true));
    for (const copy of copies) copy.loading = 'eager';
    get('stage').replaceChildren(...copies);
    showLayer(slider.value);
  }

  function step(by) {
    const all = visible();
    const place = (all.indexOf(shown) + by + all.length) % all.length;
    show(all[place]);
  }

  for (const button of document.querySelectorAll('.open')) {
    button.addEventListener('click', function () {
      // Start with what the gallery shows.
      const layer = get('cards').dataset.layer;
      slider.value = stops.findIndex((s) => s.dataset.layer === layer);
      show(button.closest('.card'));
      dialog.showModal();
      slider.focus();
    });
  }
  slider.addEventListener('input', () => showLayer(slider.value));
  stops.forEach((stop, place) =>
    stop.addEventListener('click', () => showLayer(place)));
  get('previous').addEventListener('click', () => step(-1));
  get('next').addEventListener('click', () => step(1));
  get('close').addEventListener('click', () => dialog.close());
  // Back to the photo that was shown last, which may not be the first one.
  dialog.addEventListener('close', function () {
    const button = shown.querySelector('.open');
    button.focus();
    button.scrollIntoView({ block: 'nearest' });
    get('stage').replaceChildren();
  });

  const moves = {
    ArrowLeft: () => showLayer(Number(slider.value) - 1),
    ArrowRight: () => showLayer(Number(slider.value) + 1),
    Home: () => showLayer(0),
    End: () => showLayer(stops.length - 1),
    ArrowUp: () => step(-1),
    ArrowDown: () => step(1),
    PageUp: () => step(-1),
    PageDown: () => step(1),
  };
  dialog.addEventListener('keydown', function (event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in moves) {
      event.preventDefault();
      moves[event.key]();
    } else if (event.key === 'Tab') {
      // Browsers would go on to their own buttons.
      const parts = Array.from(dialog.querySelectorAll('button, input'))
        .filter((part) => part.checkVisibility());
      const ends = [parts[0], parts[parts.length - 1]];
      const [from, to] = event.shiftKey ? ends : ends.reverse();
      if (document.activeElement === from) {
        event.preventDefault();
        to.focus();
      }
    }
  });
})();
