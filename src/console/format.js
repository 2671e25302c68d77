const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** 48211 → `47.1 KiB`. */
export function formatBytes(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 100 ? 1 : 0)} ${UNITS[unit]}`;
}

/** Seconds, to the precision that people care about: `8 s`, `2 min 10 s`, `1 h 5 min`. */
export function formatDuration(seconds) {
  const whole = Math.max(Math.round(seconds), 0);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** The time between two states: milliseconds while it is short. */
export const formatGap = (ms) => (ms < 1000 ? `${ms} ms` : ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : formatDuration(ms / 1000));

const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** An ISO time for a narrow column: the time of day, or with its day when that is not today. */
export function formatShortTime(iso, now = new Date()) {
  const at = new Date(iso);
  return at.toDateString() === now.toDateString() ? TIME.format(at) : `${DAY.format(at)}, ${TIME.format(at)}`;
}

export const formatTime = (iso) => FULL.format(new Date(iso));
