// A real Chromium, the pages it opens, and what it complains about.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(import.meta.dirname, '../../collector/console/package.json'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: process.getuid() === 0 ? ['--no-sandbox'] : [],
});

// What no page may do: complain, or ask another machine.
export const faults = { complaints: [], foreign: [] };

// `routed` answers in place of the collector what `pattern` matches.
export async function open(url, { width, scheme, routed = null, pattern = '**/api/v1/**' }) {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: scheme,
    timezoneId: 'Europe/Berlin',
    locale: 'en-GB',
    reducedMotion: 'reduce',
  });
  // What comes late on a busy machine comes all the same.
  context.setDefaultTimeout(120_000);
  const page = await context.newPage();
  await page.addInitScript({ content: axe });
  page.on('console', (message) => {
    // A refused answer is told by the browser, too.
    const isExpected = routed && message.text().startsWith('Failed to load resource');
    if (!isExpected && ['error', 'warning'].includes(message.type())) faults.complaints.push(`${url}: ${message.text()}`);
  });
  page.on('pageerror', (error) => faults.complaints.push(`${url}: ${error.message}`));
  page.on('request', (request) => {
    const origin = new URL(url).origin;
    if (!request.url().startsWith(origin) && !request.url().startsWith('blob:')) faults.foreign.push(request.url());
  });
  if (routed) await page.route(pattern, routed);
  await page.goto(url);
  return page;
}

// What of a view is judged whatever it shows.
export async function judged(page) {
  const { violations } = await page.evaluate(() => axe.run());
  return {
    faults: violations
      .filter((one) => ['serious', 'critical'].includes(one.impact))
      .map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' ')}`),
    executed: await page.evaluate(() => globalThis.canary ?? 0),
    elements: await page.locator('main :is(img, script, iframe, object, embed, style, [style])').count(),
    // What reaches beyond the screen, if the page does.
    overflows: await page.evaluate(() =>
      document.documentElement.scrollWidth <= innerWidth
        ? []
        : [...document.querySelectorAll('body *')]
            .filter((one) => one.getBoundingClientRect().right > innerWidth)
            .map((one) => one.outerHTML.slice(0, 200)),
    ),
  };
}

// Answers that are none, and what then stands there.
const problem = (status, error) => (route) => route.fulfill({ status, json: { status: 'error', errorType: 'unavailable', error } });
export const STATES = {
  error: [problem(503, 'the store has no space left'), '[role=alert]'],
  forbidden: [problem(403, 'your token reads team search only'), '[role=alert]'],
  token: [(route) => route.fulfill({ status: 401, body: 'send a token' }), 'input[type=password]'],
  loading: [() => {}, 'button:has-text("Stop")'],
};
