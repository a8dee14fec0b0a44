// Times as texts.
// This file formats times in the language and the time zone of the browser. The server sends UTC.

const locale = globalThis.navigator?.language;
const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(locale, { weekday: 'long' });
const shortWeekday = new Intl.DateTimeFormat(locale, { weekday: 'short' });
const dayAndMonth = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short' });
const fullDay = new Intl.DateTimeFormat(locale, { weekday: 'long', day: 'numeric', month: 'long' });
const fullDate = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'long', year: 'numeric' });
const dayAndTime = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'short' });

export const MINUTE_MS = 60_000;

/** Returns a key that is equal for two times of the same local day. */
export function dayKey(iso) {
  const date = new Date(iso);
  return `${date.getFullYear()}-${date.getMonth()}-${date.getDate()}`;
}

/** Returns the number of local days from `date` to `now`. */
function daysAgo(date, now) {
  const midnight = (value) => Date.UTC(value.getFullYear(), value.getMonth(), value.getDate());
  return Math.round((midnight(now) - midnight(date)) / (24 * 60 * MINUTE_MS));
}

export function timeOfDay(iso) {
  return clock.format(new Date(iso));
}

/** Returns the name of a day, for the line between two days. */
export function dayName(iso, now = new Date()) {
  const date = new Date(iso);
  const days = daysAgo(date, now);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  if (days > 1 && days < 7) return weekday.format(date);
  return date.getFullYear() === now.getFullYear() ? fullDay.format(date) : fullDate.format(date);
}

/** Returns a short time or day, for a list. */
export function shortTime(iso, now = new Date()) {
  const date = new Date(iso);
  const days = daysAgo(date, now);
  if (days <= 0) return clock.format(date);
  if (days === 1) return 'Yesterday';
  if (days < 7) return shortWeekday.format(date);
  return date.getFullYear() === now.getFullYear() ? dayAndMonth.format(date) : fullDate.format(date);
}

/** Returns day and time in full, for a tooltip. */
export function exactTime(iso) {
  return dayAndTime.format(new Date(iso));
}

/** Returns a day with its year. */
export function dateOf(iso) {
  return fullDate.format(new Date(iso));
}

/** A mute that ends later than this has no end for the user, in milliseconds. */
const FOREVER_MS = 10 * 365 * 24 * 60 * MINUTE_MS;

/** Returns until when a conversation is muted: "Muted until 18:30", or until a day. */
export function muteText(iso, now = new Date()) {
  const end = new Date(iso);
  if (end - now > FOREVER_MS) return 'Muted for good.';
  return `Muted until ${daysAgo(end, now) === 0 ? clock.format(end) : dayAndTime.format(end)}.`;
}

/** Returns how long ago a time was: "5 minutes ago". */
export function ago(iso, now = Date.now()) {
  const minutes = Math.floor((now - new Date(iso).getTime()) / MINUTE_MS);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return countAgo(minutes, 'minute');
  if (minutes < 24 * 60) return countAgo(Math.floor(minutes / 60), 'hour');
  if (minutes < 7 * 24 * 60) return countAgo(Math.floor(minutes / 1440), 'day');
  return `on ${fullDate.format(new Date(iso))}`;
}

function countAgo(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'} ago`;
}
