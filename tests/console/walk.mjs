// Walks the console in a real Chromium and prints what it saw as JSON; the test that started it judges.
// usage: node walk.mjs URL DIRECTORY-FOR-PICTURES RANGE
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { browser, faults, judged, open, STATES } from './browser.mjs';

const [url, pictures, range] = process.argv.slice(2);
const seen = { ...faults, views: [], states: {}, keys: {} };

const page = ({ path = `/?range=${range}`, ...options }) => open(url + path, { ...options, pattern: '**/api/v1/spend*' });

// Of each table the exact sums of its columns, and what stands below them.
const tables = () =>
  [...document.querySelectorAll('main table')].map((table) => {
    const picos = (text) => {
      const [whole, fraction = ''] = text.replace('-', '').split('.');
      return BigInt(whole + fraction.padEnd(12, '0')) * (text.startsWith('-') ? -1n : 1n);
    };
    const cells = (row) => [...row.cells].map((cell) => cell.querySelector('data')?.value ?? null);
    const rows = [...table.tBodies[0].rows].map(cells);
    const foot = table.tFoot ? cells(table.tFoot.rows[0]) : [];
    const columns = foot.flatMap((value, at) => {
      if (value === null) return [];
      const sum = rows.reduce((sum, row) => sum + picos(row[at] ?? '0'), 0n);
      return [{ adds_up: sum === picos(value), foot: value }];
    });
    return { label: table.getAttribute('aria-label'), rows: rows.length, columns };
  });

for (const width of [390, 1440, 2560]) {
  for (const scheme of ['light', 'dark']) {
    const view = await page({ width, scheme });
    await view.waitForSelector('table[aria-label="What moved"]');
    seen.views.push({
      width,
      scheme,
      total: await view.locator('.figs dd data').first().getAttribute('value'),
      unpriced: await view.locator('.figs > div').last().locator('dd').first().innerText(),
      tables: await view.evaluate(tables),
      names: await view.locator('table[aria-label^="Spend by team"] tbody th').allInnerTexts(),
      ...(await judged(view)),
    });
    await view.screenshot({ path: join(pictures, `spend-${width}-${scheme}.png`), fullPage: true });
    await view.context().close();
  }
}

// By keyboard alone.
const view = await page({ width: 1440, scheme: 'light' });
await view.waitForSelector('table[aria-label="What moved"]');
await view.keyboard.press('Tab');
seen.keys.first = await view.evaluate(() => document.activeElement.textContent.trim());
await view.keyboard.press('/');
seen.keys.filter = await view.evaluate(() => document.activeElement.matches('.field input'));
await view.keyboard.type('quiet');
await view.keyboard.press('Enter');
seen.keys.unread = await view.locator('form [role=alert]').innerText();
await view.keyboard.press('Control+A');
await view.keyboard.type('team=quiet');
await view.keyboard.press('Enter');
await view.waitForURL(/match=/);
await view.waitForFunction(() => document.querySelectorAll('table[aria-label="Spend by team"] tbody tr').length === 1);
seen.keys.match = new URL(view.url()).searchParams.get('match');
for (let presses = 0; presses < 40; presses++) {
  if (await view.evaluate(() => document.activeElement.matches('.chart'))) break;
  await view.keyboard.press('Tab');
}
await view.keyboard.press('ArrowRight');
seen.keys.read = await view.locator('.stackfig [role=status]').innerText();
seen.keys.day = await view.locator('table[aria-label="Spend by model"] thead th').first().innerText();
await view.keyboard.press('Escape');
await view.evaluate(() => document.activeElement.blur());
const file = view.waitForEvent('download');
await view.keyboard.press('e');
seen.keys.file = readFileSync(await (await file).path(), 'utf8');
seen.keys.fileName = (await file).suggestedFilename();
seen.keys.zones = await view.locator('select option').count();
await view.keyboard.press('[');
await view.waitForURL((there) => there.searchParams.get('range') !== range);
seen.keys.range = new URL(view.url()).searchParams.get('range');
await view.keyboard.press('?');
seen.keys.list = await view.locator('dialog[open] dt').count();
await view.keyboard.press('Escape');
await view.waitForFunction(() => !document.querySelector('dialog').open);
await view.keyboard.press('t');
await view.waitForFunction(() => document.documentElement.dataset.theme);
seen.keys.theme = await view.evaluate(() => document.documentElement.dataset.theme);
await view.goBack();
await view.waitForFunction((range) => new URLSearchParams(location.search).get('range') === range, range);
await view.context().close();

// What was used, and a stretch of days of one's own.
const units = await page({ width: 1440, scheme: 'light', path: `/?range=${range}&by=unit` });
await units.waitForSelector('table[aria-label="Spend by unit"] tbody tr th');
const byUnit = (await units.evaluate(tables)).find((table) => table.label === 'Spend by unit');
seen.units = { ...byUnit, ...(await judged(units)), text: await units.locator('table[aria-label="Spend by unit"] tbody').innerText() };
await units.click('button:has-text("Custom")');
await units.fill('form[aria-label="Custom range"] label:nth-of-type(1) input', '2026-10-30');
await units.fill('form[aria-label="Custom range"] label:nth-of-type(2) input', '2026-10-29');
seen.units.odd = await units.locator('form[aria-label="Custom range"] [role=alert]').innerText();
await units.fill('form[aria-label="Custom range"] label:nth-of-type(2) input', '2026-11-02');
await units.keyboard.press('Enter');
await units.waitForURL((there) => there.searchParams.get('range') !== range);
seen.units.range = new URL(units.url()).searchParams.get('range');
await units.context().close();

// A team whose one call has no price: nothing of it is drawn as 0, also where the number of calls, which is read beside it, is not there yet.
const match = encodeURIComponent('{team="&lt;img src=x onerror=canary=1&gt;"}');
const uncounted = async (route) => {
  const response = await route.fetch();
  const answer = await response.json();
  for (const row of [answer.total, ...answer.tables.flatMap((table) => table.rows)]) row.calls = 0;
  await route.fulfill({ response, json: answer });
};
for (const [name, routed] of Object.entries({ unpriced: null, uncounted })) {
  const view = await page({ width: 1440, scheme: 'light', path: `/?range=${range}&match=${match}`, routed });
  await view.waitForSelector('table[aria-label="What moved"]');
  await view.waitForFunction(() => !document.querySelector('.figs .sk'));
  seen[name] = {
    figures: await view.locator('.figs > div dt + dd').allInnerTexts(),
    team: await view.locator('table[aria-label="Spend by team"] :is(tbody, tfoot) tr').allInnerTexts(),
  };
  await view.context().close();
}

// What stands where an answer is not there.
for (const [name, [routed, selector]] of Object.entries(STATES)) {
  const view = await page({ width: 390, scheme: 'light', routed });
  await view.waitForSelector(selector);
  seen.states[name] = await view.locator('main').innerText();
  if (name === 'loading') {
    await view.locator(selector).first().click();
    await view.waitForSelector('[role=alert]');
    seen.states.stopped = await view.locator('[role=alert]').first().innerText();
  }
  await view.context().close();
}
const empty = await page({ width: 1440, scheme: 'light', path: '/?range=2001-02' });
await empty.waitForSelector('table[aria-label="What moved"]');
seen.states.empty = await empty.locator('main').innerText();
await empty.context().close();

for (const [name, query] of Object.entries({ zone: 'zone=Mars/X', range: 'range=2026-13' })) {
  const view = await page({ width: 390, scheme: 'light', path: `/?${query}` });
  seen.states[name] = await view.locator('[role=alert]').innerText();
  await view.context().close();
}

await browser.close();
console.log(JSON.stringify(seen));
