// The frame of every view: where one can go, keys, light and dark.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { useAnswered, useApi, type Status } from './api';
import { num } from './format';
import { Icon } from './parts';
import { LIVE_MS } from './rhythm';
import { store, stored } from './stored';
import { go } from './url';

const VIEWS = [
  { path: '/', key: 's', name: 'Spend', short: 'Spend', icon: 'spend' },
  { path: '/calls', key: 'c', name: 'Calls', short: 'Calls', icon: 'calls' },
  { path: '/gaps', key: 'n', name: 'Not in the numbers', short: 'Not in', icon: 'gaps' },
  { path: '/alerts', key: 'a', name: 'Alerts', short: 'Alerts', icon: 'alerts' },
  { path: '/status', key: 'h', name: 'Health', short: 'Health', icon: 'health' },
] as const;

const KEYS: [string, string][] = [
  ...VIEWS.map(({ key, name }): [string, string] => [`g ${key}`, name]),
  ['/', 'Filter'],
  ['[ ]', 'Range before or after, older calls'],
  ['j k', 'Next and previous call of the list'],
  ['p', 'Hold the list of calls'],
  ['e', 'CSV of what you see'],
  ['t', 'Light or dark'],
  ['?', 'This list'],
];

const isAt = (view: string, path: string): boolean => view === path || (view !== '/' && path.startsWith(`${view}/`));

const SINGLE_KEYS = 'ledgerline.keys';
const THEME = 'ledgerline.theme';

// Single keys can be switched off (WCAG 2.1.4).
const hasKeys = (): boolean => stored('local', SINGLE_KEYS) !== 'off';

function flipTheme(): void {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = isDark ? 'light' : 'dark';
  store('local', THEME, root.dataset.theme);
}

export function restoreTheme(): void {
  const theme = stored('local', THEME);
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
}

// A view takes a key by an element with `data-key`.
const press = (key: string): void => document.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`)?.click();

// To the next row of a list, or the one before.
function step(by: -1 | 1): void {
  const rows = [...document.querySelectorAll<HTMLElement>('.calls tbody th a')];
  const at = rows.findIndex((row) => row === document.activeElement);
  rows[Math.max(0, Math.min(rows.length - 1, at + by))]?.focus();
}

// The account of the spans, always in view: what was received is one of these.
function Ledger() {
  const { data, failure } = useApi<Status>('/api/v1/status', '', '', LIVE_MS, useAnswered());
  if (!data) return <footer class="ledger">{failure ? 'The account is not known.' : ''}</footer>;
  const { received, stored, waiting, quarantined, unacknowledged } = data.account;
  return (
    <footer class="ledger">
      <span>
        <b>{num(received)}</b> spans received = <b>{num(stored)}</b> stored + <b>{num(waiting)}</b> waiting + <b>{num(quarantined)}</b>{' '}
        quarantined<span class="long"> + <b>{num(unacknowledged)}</b> to be repeated</span>
      </span>
      <span class="long">since {data.started.slice(0, 16).replace('T', ' ')} UTC</span>
    </footer>
  );
}

export function Shell(props: { path: string; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    let isGoing = false;
    const keys = (event: KeyboardEvent) => {
      const isTyping = event.target instanceof HTMLElement && event.target.matches('input:not([type=checkbox]), textarea, select');
      // Some keyboards have brackets behind AltGr, which some systems tell as Ctrl and Alt.
      const isHeld = (event.ctrlKey || event.metaKey || event.altKey) && !event.getModifierState('AltGraph');
      if (isHeld || event.repeat || isTyping || dialog.current?.open || !hasKeys()) return;
      const view = isGoing ? VIEWS.find((one) => one.key === event.key) : undefined;
      isGoing = event.key === 'g';
      if (view) go(view.path);
      else if (event.key === '?') dialog.current?.showModal();
      else if (event.key === 't') flipTheme();
      else if (event.key === '/') {
        event.preventDefault();
        document.querySelector<HTMLElement>('.field input')?.focus();
      } else if ('jk'.includes(event.key)) step(event.key === 'j' ? 1 : -1);
      else if ('[]ep'.includes(event.key)) press(event.key);
    };
    addEventListener('keydown', keys);
    return () => removeEventListener('keydown', keys);
  }, []);
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="rail">
        <div>
          <a class="brand" href="/">
            <Icon name="logo" size={20} />
            Ledgerline
          </a>
          <nav class="nav" aria-label="Views">
            <ul>
              {VIEWS.map((view) => (
                <li key={view.path}>
                  <a href={view.path} aria-current={isAt(view.path, props.path) ? 'page' : undefined}>
                    <Icon name={view.icon} size={16} />
                    <span class="long">{view.name}</span>
                    <span class="only-n">{view.short}</span>
                  </a>
                </li>
              ))}
            </ul>
          </nav>
          <div class="rail-foot">
            <div class="tools">
              <button type="button" class="small" onClick={flipTheme}>
                Theme
              </button>
              <button type="button" class="small p2" onClick={() => dialog.current?.showModal()}>
                Keys <kbd>?</kbd>
              </button>
            </div>
          </div>
        </div>
      </header>
      <main id="main">{props.children}</main>
      <Ledger />
      <dialog ref={dialog} aria-label="Keys">
        <h2>Keys</h2>
        <dl>
          {KEYS.map(([keys, what]) => (
            <>
              <dt>
                {keys.split(' ').map((key) => (
                  <kbd key={key}>{key}</kbd>
                ))}
              </dt>
              <dd>{what}</dd>
            </>
          ))}
        </dl>
        <label>
          <input
            type="checkbox"
            checked={hasKeys()}
            onChange={(event) => store('local', SINGLE_KEYS, event.currentTarget.checked ? 'on' : 'off')}
          />{' '}
          Single keys do this
        </label>
        <form method="dialog">
          <button type="submit">Close</button>
        </form>
      </dialog>
    </>
  );
}
