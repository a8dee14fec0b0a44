// Times as people say them.
// Lives here: formatting in the reader's own language and time zone. May not live here: time zones of servers; the wire
// speaks UTC.

const locale = globalThis.navigator?.language;
const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(locale, { weekday: 'long' });
const shortWeekday = new Intl.DateTimeFormat(locale, { weekday: 'short' });
const dayAndMonth = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short' });
const fullDay = new Intl.DateTimeFormat(locale, { weekday: 'long', day: 'numeric', month: 'long' });
const fullDate = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'long', year: 'numeric' });
const everything = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'short' });

export const MINUTE = 60_000;

/** A key that is the same for two times of one local day. */
export function dayOf(iso) {
  const date = new Date(iso);
  return `${date.getFullYear()}-${date.getMonth()}-${date.getDate()}`;
}

/** Local days from `date` to `now`. */
function daysAgo(date, now) {
  const midnight = (value) => Date.UTC(value.getFullYear(), value.getMonth(), value.getDate());
  return Math.round((midnight(now) - midnight(date)) / (24 * 60 * MINUTE));
}

export function timeOfDay(iso) {
  return clock.format(new Date(iso));
}

/** For a line between two days. */
export function dayName(iso, now = new Date()) {
  const date = new Date(iso);
  const days = daysAgo(date, now);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  if (days > 1 && days < 7) return weekday.format(date);
  return date.getFullYear() === now.getFullYear() ? fullDay.format(date) : fullDate.format(date);
}

/** For a list: as short as it can be said. */
export function shortTime(iso, now = new Date()) {
  const date = new Date(iso);
  const days = daysAgo(date, now);
  if (days <= 0) return clock.format(date);
  if (days === 1) return 'Yesterday';
  if (days < 7) return shortWeekday.format(date);
  return date.getFullYear() === now.getFullYear() ? dayAndMonth.format(date) : fullDate.format(date);
}

/** For a tooltip. */
export function exactTime(iso) {
  return everything.format(new Date(iso));
}

/** A day, with its year. */
export function dateOf(iso) {
  return fullDate.format(new Date(iso));
}

/** A mute that ends later than this is one for good, in milliseconds. */
const FOR_GOOD = 10 * 365 * 24 * 60 * MINUTE;

/** "Muted until 18:30", or until a day. */
export function muteText(iso, now = new Date()) {
  const end = new Date(iso);
  if (end - now > FOR_GOOD) return 'Muted for good.';
  return `Muted until ${daysAgo(end, now) === 0 ? clock.format(end) : everything.format(end)}.`;
}

/** "5 minutes ago", for a moment that passed. */
export function ago(iso, now = Date.now()) {
  const minutes = Math.floor((now - new Date(iso).getTime()) / MINUTE);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return count(minutes, 'minute');
  if (minutes < 24 * 60) return count(Math.floor(minutes / 60), 'hour');
  if (minutes < 7 * 24 * 60) return count(Math.floor(minutes / 1440), 'day');
  return `on ${fullDate.format(new Date(iso))}`;
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'} ago`;
}
