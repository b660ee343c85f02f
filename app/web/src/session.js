/**
 * Who is signed in to this page. A link of `docyard up` carries a one-use code behind its `#`, which
 * no browser sends to a server by itself; here it becomes a key that ends by itself and lives as
 * long as the tab.
 */
import { signIn } from './addresses.js';

const PLACE = 'docyard:session';

let current = read();
const listeners = new Set();

/** Returns { token, expiresAt }, with `expiresAt` a Date; { refused } with why a link does not work; or null. */
export function session() {
  return current;
}

/** Calls back at each change; returns how to stop that. */
export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Makes the key worthless, here and for everybody. */
export async function signOut() {
  const headers = { authorization: `Bearer ${current.token}` };
  sessionStorage.removeItem(PLACE);
  change(null);
  await fetch(signIn, { method: 'DELETE', headers }).catch(() => {}); // it ends by itself, too
}

/** The key has ended, or was revoked: says so until there is another. */
export function ended() {
  sessionStorage.removeItem(PLACE);
  change({ refused: 'You are signed out: the key of this page has ended.' });
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
    if (!answer.ok) {
      change({ refused: body.detail });
      return;
    }
    sessionStorage.setItem(PLACE, JSON.stringify(body));
    change(read());
  } catch {
    change({ refused: 'The service does not answer; open the link again.' });
  }
}

function read() {
  const kept = JSON.parse(sessionStorage.getItem(PLACE));
  return kept && { token: kept.token, expiresAt: new Date(kept.expiresAt) };
}

function change(to) {
  current = to;
  for (const listener of listeners) listener();
}
