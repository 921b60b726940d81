// How long the console takes to show the first view, and all of it, by the page's own clock; each time in a browser that has seen nothing.
// usage: node clock.mjs URL [TIMES]
import { browser } from './browser.mjs';

const [url, times = '8'] = process.argv.slice(2);
const VIEWS = { view: 'table[aria-label="Spend by team"] tbody tr th', all: 'table[aria-label="What moved"] tbody tr th' };
const taken = { view: [], all: [] };
for (let time = 0; time < Number(times); time++) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  await page.addInitScript((views) => {
    globalThis.shown = {};
    const look = () => {
      for (const [name, selector] of Object.entries(views)) {
        if (document.querySelector(selector)) globalThis.shown[name] ??= performance.now();
      }
      if (!globalThis.shown.all) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }, VIEWS);
  await page.goto(url, { waitUntil: 'commit' });
  const shown = await (await page.waitForFunction(() => globalThis.shown.all && globalThis.shown)).jsonValue();
  for (const name of Object.keys(taken)) taken[name].push(Math.round(shown[name]));
  await context.close();
}
await browser.close();
for (const [name, ms] of Object.entries(taken)) {
  ms.sort((a, b) => a - b);
  console.log(`${name}: ${ms[0]} to ${ms.at(-1)} ms, median ${ms[Math.floor(ms.length / 2)]} of ${ms.length}`);
}
