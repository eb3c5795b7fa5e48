'use strict';
(function () {
  const cards = Array.from(document.querySelectorAll('.card'));
  const controls = document.querySelector('.controls');

  function compare(key) {
    return function (a, b) {
      if (key) {
        // A card without the pair comes last.
        const left = a.hasAttribute('data-' + key)
          ? Number(a.getAttribute('data-' + key)) : -1;
        const right = b.hasAttribute('data-' + key)
          ? Number(b.getAttribute('data-' + key)) : -1;
        if (left !== right) return right - left;
      }
      return a.dataset.name < b.dataset.name ? -1 : 1;
    };
  }

  if (controls) {
    const get = (id) => document.getElementById(id);
    const list = get('cards');

    const update = function () {
      const name = get('class').value;
      const split = get('split').value;
      let shown = 0;
      cards.sort(compare(get('sort').value));
      for (const card of cards) {
        const classes = card.dataset.classes.split(' ');
        card.hidden = Boolean(
          (name && !classes.includes(name)) ||
          (split && card.dataset.split !== split));
        shown += !card.hidden;
      }
      list.append(...cards);
      get('shown').textContent = shown + ' of ' + cards.length + ' shown';
    };

    for (const id of ['sort', 'class', 'split']) {
      get(id).addEventListener('change', update);
    }
    const fade = () => list.style.setProperty(
      '--opacity', get('opacity').value / 100);
    get('opacity').addEventListener('input', fade);
    controls.addEventListener('submit', (event) => event.preventDefault());
    controls.hidden = false;
    update();
    fade(); // browsers keep the slider over a reload
  }

  for (const button of document.querySelectorAll('.copy')) {
    const code = button.closest('li').querySelector('code');
    button.hidden = false;
    button.addEventListener('click', async function () {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = 'Copied';
      } catch {
        // No permission: mark it, for Ctrl+C.
        getSelection().selectAllChildren(code);
        button.textContent = 'Selected';
      }
      setTimeout(() => { button.textContent = 'Copy'; }, 2000);
    });
  }

  // Paper cannot be clicked.
  let opened = [];
  addEventListener('beforeprint', function () {
    opened = Array.from(document.querySelectorAll('details:not([open])'));
    for (const details of opened) details.open = true;
  });
  addEventListener('afterprint', function () {
    for (const details of opened) details.open = false;
  });
})();
