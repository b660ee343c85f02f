/**
 * Who is signed in to this page, and how it fares. A link of `docyard up` carries a one-use code
 * behind its `#`, which no browser sends to a server by itself; here it becomes a key that ends by
 * itself and lives as long as the tab. A key that somebody types in is kept as long, and is theirs.
 */
import { signIn } from './addresses.js';

const PLACE = 'docyard:session';
const LOST = 'The service does not answer; trying again.';

let current = read();
const listeners = new Set();

/**
 * Returns { token, expiresAt, trouble }, each only where there is one. expiresAt: a Date, of a key
 * that a link brought. trouble: why nobody is signed in, or what is wrong with the connection.
 */
export function session() {
  return current;
}

/** Calls back at each change; returns how to stop that. */
export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Takes a key of the caller's own. Whether it is good shows with the first request. */
export function signInByKey(token) {
  keep({ token });
}

/** Forgets the key; one that a link brought becomes worthless for everybody. */
export async function signOut() {
  const { token, expiresAt } = current;
  forget();
  if (!expiresAt) return;
  const headers = { authorization: `Bearer ${token}` };
  await fetch(signIn, { method: 'DELETE', headers }).catch(() => {}); // it ends by itself, too
}

/** The key is refused: says so until there is another. */
export function ended() {
  forget(
    current.expiresAt
      ? 'You are signed out: the key of this page has ended.'
      : 'The service refuses this key: it is unknown, revoked or expired.',
  );
}

/** The service does not answer a subscription. */
export function lost() {
  change({ ...current, trouble: LOST });
}

/** It answers again, or is about to be asked. */
export function found() {
  if (current.trouble === LOST) change({ ...current, trouble: undefined });
}

/** Uses up the code in the address, where there is one. Nobody finds it in the history afterwards. */
export async function signInByLink() {
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  if (code === null) return;
  history.replaceState(null, '', location.pathname + location.search);
  try {
    const answer = await fetch(signIn, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code }),
    });
    const body = await answer.json();
    if (answer.ok) keep(body);
    else change({ ...current, trouble: body.detail });
  } catch {
    change({ ...current, trouble: 'The service does not answer; open the link again.' });
  }
}

function keep(made) {
  sessionStorage.setItem(PLACE, JSON.stringify(made));
  change(read());
}

function forget(trouble) {
  sessionStorage.removeItem(PLACE);
  change({ trouble });
}

function read() {
  const { token, expiresAt } = JSON.parse(sessionStorage.getItem(PLACE)) ?? {};
  return { token, expiresAt: expiresAt && new Date(expiresAt) };
}

function change(to) {
  current = to;
  for (const listener of listeners) listener();
}
