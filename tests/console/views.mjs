// Walks the views beside spend and prints what it saw as JSON; the test that started it judges.
// usage: node views.mjs URL DIRECTORY-FOR-PICTURES PATH-OF-A-CALL
import { join } from 'node:path';
import { browser, faults, judged, open, STATES } from './browser.mjs';

const [url, pictures, call] = process.argv.slice(2);
const seen = { ...faults, views: [], states: {}, keys: {} };

// Each view: its path, what is there when it is, and which answer it cannot be without.
const VIEWS = {
  calls: ['/calls', 'table[aria-label="Calls"] tbody tr th', '**/api/v1/calls*'],
  call: [call, 'table[aria-label="Trace"] tbody tr th', '**/api/v1/calls/**'],
  gaps: ['/gaps', 'table[aria-label="Without a price"] tbody tr th', '**/api/v1/spend*'],
  alerts: ['/alerts?alert=CallsFail', 'table[aria-label="What it has seen"] tbody tr th', '**/api/v1/rules*'],
  quiet: ['/alerts?alert=Quiet', 'table[aria-label="What it has seen"] tbody tr th', '**/api/v1/alerts/*'],
  budgets: ['/', 'table[aria-label="Budgets"] tbody tr th', null],
  // Nobody listens where the alerts go.
  health: ['/status', '.lead:has-text("does not take alerts") ~ section table[aria-label="What is kept"] tbody tr th', '**/api/v1/status*'],
};

// The exact values of the column of a table that holds money, and its foot.
const money = (page, label) =>
  page.locator(`table[aria-label="${label}"]`).evaluate((table) => ({
    rows: [...table.tBodies[0].rows].flatMap((row) => [...row.querySelectorAll('data')].map((one) => one.value)),
    foot: table.tFoot?.querySelector('data')?.value ?? null,
  }));
const text = (page, selector) => page.locator(selector).first().innerText();

const READ = {
  calls: async (page) => ({
    money: await money(page, 'Calls'),
    rows: await page.locator('table[aria-label="Calls"] tbody tr').count(),
    tags: await page.locator('table[aria-label="Calls"] .tag').allInnerTexts(),
  }),
  call: async (page) => ({
    cost: await page.locator('.figs dd data').first().getAttribute('value'),
    bill: await money(page, 'Bill'),
    arithmetic: await page.locator('table[aria-label="Bill"] tbody code').allInnerTexts(),
    trace: await money(page, 'Trace'),
    spans: await page.locator('table[aria-label="Trace"] tbody tr').count(),
    facts: await page.locator('.kv dd').allInnerTexts(),
    factNames: await page.locator('.kv dt').allInnerTexts(),
  }),
  gaps: async (page) => ({
    unpriced: await text(page, 'table[aria-label="Without a price"] tfoot .n'),
    estimated: await money(page, 'Estimated'),
    unread: await text(page, 'table[aria-label="Unread requests"] tfoot .n'),
    corrected: await money(page, 'Corrections'),
    refused: await text(page, 'table[aria-label="Refused"] tfoot td:last-child'),
    lead: await text(page, '.lead'),
    account: await page.locator('.eq b').allInnerTexts(),
  }),
  alerts: async (page) => ({
    text: await text(page, 'article.alert'),
    links: await page.locator('article.alert a').evaluateAll((links) => links.map((link) => link.href)),
    quiet: await page.locator('table[aria-label="Quiet rules"]').count(),
    seen: await page.locator('table[aria-label="What it has seen"] tbody :is(th, td)').allInnerTexts(),
  }),
  quiet: async (page) => ({
    seen: await page.locator('table[aria-label="What it has seen"] tbody :is(th, td)').allInnerTexts(),
    watched: await text(page, 'section p.dim'),
    lead: await text(page, '.lead'),
  }),
  budgets: async (page) => ({
    money: await money(page, 'Budgets'),
    text: await text(page, 'table[aria-label="Budgets"] tbody tr'),
  }),
  health: async (page) => ({
    senders: await page.locator('table[aria-label="Senders"] tbody tr').count(),
    lead: await text(page, '.lead'),
    grafana: await text(page, '.code code'),
    ledger: await text(page, '.ledger'),
  }),
};

for (const [name, [path, ready]] of Object.entries(VIEWS)) {
  for (const width of [390, 1440, 2560]) {
    for (const scheme of ['light', 'dark']) {
      const page = await open(url + path, { width, scheme });
      await page.waitForSelector(ready).catch(async (error) => {
        throw new Error(`${name}: ${await page.locator('main').innerText()}\n${error}`);
      });
      await page.waitForFunction(() => !document.querySelector('main .sk'));
      if (name === 'gaps') await page.waitForSelector('table[aria-label="Corrections"] tfoot');
      seen.views.push({ name, width, scheme, ...(await judged(page)), ...(await READ[name](page)) });
      await page.screenshot({ path: join(pictures, `${name}-${width}-${scheme}.png`), fullPage: true });
      await page.context().close();
    }
  }
}

// The corrections of a call without a price.
const hex = (text) => Buffer.from(text).toString('hex');
const unpriced = await open(`${url}/calls/${hex('0000000000000002')}/${hex('00000002')}`, { width: 1440, scheme: 'light' });
seen.unpriced = await unpriced.locator('table[aria-label="Corrections"] tbody td:nth-child(4)').first().waitFor().then(() =>
  unpriced.locator('table[aria-label="Corrections"] tbody td:nth-child(4)').allInnerTexts(),
);
await unpriced.context().close();

// Rules with the names and the queries of those that are shipped: each name stands in one line.
seen.rules = [];
for (const width of [390, 1440, 2560]) {
  const page = await open(`${url}/alerts`, { width, scheme: 'light' });
  await page.waitForSelector('table[aria-label="Quiet rules"] tbody tr th');
  const lines = await page.locator('table[aria-label="Quiet rules"] th bdi').evaluateAll((names) => names.map((name) => name.getClientRects().length));
  seen.rules.push({ name: 'rules', width, scheme: 'light', ...(await judged(page)), lines });
  await page.screenshot({ path: join(pictures, `rules-${width}.png`), fullPage: true });
  await page.context().close();
}

// The budgets of a filter: those that hold for its calls, its own first.
const ofTeam = await open(`${url}/?match=${encodeURIComponent('{team="quiet"}')}`, { width: 390, scheme: 'light' });
await ofTeam.waitForSelector(VIEWS.budgets[1]);
seen.ofTeam = await ofTeam.locator('table[aria-label="Budgets"] tbody th > bdi').allInnerTexts();
await ofTeam.context().close();

// What a budget's alert leads to.
const crossed = await open(`${url}/alerts?alert=LLMBudgetThreshold`, { width: 1440, scheme: 'light' });
seen.behind = await crossed.locator('article.alert a:has-text("Calls behind it")').first().getAttribute('href');
await crossed.context().close();

// Every view by two keys, then the list of calls and a call of it by keyboard alone.
const page = await open(url, { width: 1440, scheme: 'light' });
await page.waitForSelector('main h1');
seen.keys.views = [];
for (const key of 'cnahsc') {
  const before = await page.title();
  await page.keyboard.press('g');
  await page.keyboard.press(key);
  await page.waitForFunction((before) => document.title !== before, before);
  seen.keys.views.push(await text(page, 'main h1'));
}
await page.waitForSelector(VIEWS.calls[1]);
await page.keyboard.press('j');
await page.keyboard.press('j');
await page.keyboard.press('k');
seen.keys.row = await page.evaluate(() => document.activeElement.closest('tr').rowIndex);
seen.keys.held = await text(page, '[data-key=p]');
await page.keyboard.press('Enter');
await page.waitForSelector(VIEWS.call[1]);
seen.keys.call = new URL(page.url()).pathname;
await page.goBack();
await page.waitForSelector(VIEWS.calls[1]);
await page.keyboard.press('/');
await page.keyboard.type('team=quiet user="a user"');
await page.keyboard.press('Enter');
await page.waitForURL(/user=/);
await page.waitForFunction(() => document.querySelectorAll('table[aria-label="Calls"] tbody th').length === 1);
seen.keys.filtered = new URL(page.url()).search;
seen.keys.field = await page.locator('.field input').inputValue();
await page.context().close();

for (const [name, [path, , pattern]] of Object.entries(VIEWS)) {
  if (!pattern) continue;
  seen.states[name] = {};
  for (const [state, [routed, selector]] of Object.entries(STATES)) {
    const page = await open(url + path, { width: 390, scheme: 'light', routed, pattern });
    await page.waitForSelector(`main ${selector}`);
    seen.states[name][state] = await page.locator('main').innerText();
    await page.context().close();
  }
}
const EMPTY = {
  calls: '/calls?match={team%3D"nobody"}',
  call: `/calls/${'ab'.repeat(16)}/${'cd'.repeat(8)}`,
  gaps: '/gaps?range=2001-02',
  alerts: '/alerts?alert=Gone',
};
for (const [name, path] of Object.entries(EMPTY)) {
  // What is not stored is a 404, which the browser tells.
  const page = await open(url + path, { width: 1440, scheme: 'light', routed: (route) => route.continue() });
  await page.waitForSelector(name === 'call' ? '[role=alert]' : name === 'alerts' ? 'main .note' : name === 'gaps' ? 'table[aria-label="Corrections"] tfoot' : 'tbody .dim');
  seen.states[name].empty = await page.locator('main').innerText();
  await page.context().close();
}

await browser.close();
console.log(JSON.stringify(seen));
