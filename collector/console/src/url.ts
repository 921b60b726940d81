// Where the reader is: a path and its parameters hold the whole state of a view, so that every view can be sent as a link.

import { useEffect, useState } from 'preact/hooks';
import { LIVE_MS, useBeat, type Part } from './rhythm';

export interface Place {
  path: string;
  params: URLSearchParams;
}

const here = (): Place => ({ path: location.pathname, params: new URLSearchParams(location.search) });

// `isInstead`: the place left is no place to go back to.
export function go(to: string, isInstead = false): void {
  if (isInstead) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  dispatchEvent(new Event('ledgerline:place'));
}

// The same place with other parameters; an empty value removes one.
export function withParams(place: Place, changes: Record<string, string>): string {
  const params = new URLSearchParams(place.params);
  for (const [name, value] of Object.entries(changes)) {
    if (value) params.set(name, value);
    else params.delete(name);
  }
  const query = params.toString();
  return query ? `${place.path}?${query}` : place.path;
}

export function usePlace(): Place {
  const [place, setPlace] = useState(here);
  useEffect(() => {
    const update = () => setPlace(here());
    const follow = (event: MouseEvent) => {
      const link = event.target instanceof Element ? event.target.closest('a') : null;
      const isOurs = link?.origin === location.origin && !link.target && !link.hasAttribute('download');
      if (!link || !isOurs || link.hash || event.defaultPrevented) return;
      if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      go(link.pathname + link.search);
      scrollTo(0, 0);
    };
    addEventListener('popstate', update);
    addEventListener('ledgerline:place', update);
    addEventListener('click', follow);
    return () => {
      removeEventListener('popstate', update);
      removeEventListener('ledgerline:place', update);
      removeEventListener('click', follow);
    };
  }, []);
  return place;
}

// Changes once a minute, since what is over of today has changed by then; at a beat, so that what is asked anew of that is asked with the rest.
export function useMinute(): number {
  const minute = (): number => Math.floor(Date.now() / 60_000);
  const [at, setAt] = useState(minute);
  const [part] = useState<Part>(() => ({ everyMs: LIVE_MS, tookMs: 0, restsUntil: 0, again: () => setAt(minute()) }));
  useBeat(part);
  return at;
}
