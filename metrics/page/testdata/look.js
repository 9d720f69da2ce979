// Looks at the page as a person would: does it fit, can it be read.
(() => {
  const room = document.documentElement.clientWidth;
  const all = [...document.querySelectorAll('body *')];
  const shown = (e) => e.getClientRects().length > 0 && !e.closest('.hidden, thead');
  const name = (e) => e.tagName.toLowerCase() + ' ' + (e.textContent || '').trim().slice(0, 40);
  const over = all.filter((e) => shown(e) && e.getBoundingClientRect().right > room + 0.5).map(name);
  // What scrolls or is cut within itself.
  const cut = all.filter((e) => shown(e) && !(e instanceof SVGElement) && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== 'visible').map(name);

  const clash = [];
  for (const svg of document.querySelectorAll('.plot svg')) {
    if (!shown(svg)) continue;
    const frame = svg.getBoundingClientRect();
    const words = [...svg.querySelectorAll('text')].map((e) => [e, e.getBoundingClientRect()]);
    words.forEach(([e, a], i) => {
      if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.bottom > frame.bottom + 1) clash.push('out: ' + name(e));
      for (const [f, b] of words.slice(i + 1)) {
        if (a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom) clash.push(name(e) + ' / ' + name(f));
      }
    });
  }

  // Contrast as WCAG 2 counts it; 4.5 is its AA for text.
  const parse = (c) => (c.match(/[\d.]+/g) || []).map(Number);
  const light = (c) => {
    const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const pale = new Set();
  for (const e of all) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !shown(e)) continue;
    const style = getComputedStyle(e);
    const ink = parse(e instanceof SVGElement ? style.fill : style.color).slice(0, 3);
    const [x, y] = [light(ink), light(ground(e))].sort((a, b) => b - a);
    const contrast = (x + 0.05) / (y + 0.05);
    if (contrast < 4.5) pale.add(name(e) + ' ' + contrast.toFixed(1));
  }
  return {
    text: document.body.innerText, title: document.title, wide: document.documentElement.scrollWidth, room,
    over, cut, clash, pale: [...pale], loose: document.querySelectorAll('script, img, iframe, b, form, object').length,
    colors: getComputedStyle(document.body).backgroundColor,
  };
})()
