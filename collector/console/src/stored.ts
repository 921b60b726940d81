// What the browser keeps, if it may: private windows and policies forbid it.

export function stored(where: 'local' | 'session', key: string): string | null {
  try {
    return (where === 'local' ? localStorage : sessionStorage).getItem(key);
  } catch {
    return null;
  }
}

export function store(where: 'local' | 'session', key: string, value: string): void {
  try {
    (where === 'local' ? localStorage : sessionStorage).setItem(key, value);
  } catch {
    // It holds until the page is left.
  }
}
