// Buttons to copy commands, and printing.
(function () {
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
