// Opens the console before there is a call, makes one through the agent, and prints what it saw as JSON.
// usage: node first.mjs URL DIRECTORY-FOR-PICTURES BASE-URL-OF-THE-AGENT
import { join } from 'node:path';
import { browser, faults, judged, open } from './browser.mjs';

const [url, pictures, agent] = process.argv.slice(2);
const seen = { ...faults, views: [] };
for (const width of [390, 1440]) {
  const page = await open(url, { width, scheme: width === 390 ? 'dark' : 'light' });
  await page.waitForSelector('h1:has-text("Waiting for the first call")');
  await page.locator('.seg button', { hasText: 'Anthropic' }).click();
  seen.views.push({ name: 'first', width, ...(await judged(page)), paste: await page.locator('.code code').first().innerText() });
  await page.screenshot({ path: join(pictures, `first-${width}.png`), fullPage: true });
  await page.context().close();
}
const page = await open(url, { width: 1440, scheme: 'light' });
await page.waitForSelector('h1:has-text("Waiting for the first call")');
const response = await fetch(`${agent}/v1/chat/completions`, {
  method: 'POST',
  headers: { authorization: 'Bearer sk-mock', 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'gpt-4.1-mini', messages: [{ role: 'user', content: 'hello' }] }),
});
seen.status = response.status;
seen.answer = await response.text();
await page.waitForSelector('h1:text-is("Spend")');
// The first figure there is is that of the call: until its answer is there, the page waits.
await page.waitForSelector('.figs > :first-child data').catch(async (error) => {
  throw new Error(`${JSON.stringify(seen)} ${await page.locator('main').innerText()}\n${error}`);
});
seen.spend = await page.locator('.figs > :first-child data').first().getAttribute('value');
await browser.close();
console.log(JSON.stringify(seen));
