// Makes a picture of a page of the console in a real Chromium.
// usage: node picture.mjs URL FILE.png
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [url, file] = process.argv.slice(2);
const require = createRequire(join(import.meta.dirname, '../../collector/console/package.json'));
const { chromium } = require('playwright-core');

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: process.getuid() === 0 ? ['--no-sandbox'] : [],
});
const context = await browser.newContext({
  viewport: { width: 1440, height: 960 },
  colorScheme: 'light',
  timezoneId: 'Europe/Berlin',
  locale: 'en-GB',
  reducedMotion: 'reduce',
});
const page = await context.newPage();
await page.goto(url);
await page.waitForSelector('table[aria-label="What moved"]');
await page.screenshot({ path: file });
await browser.close();
