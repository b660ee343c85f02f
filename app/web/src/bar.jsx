/** The line above GraphiQL: who is signed in, how to be, and a way to send a file. */
import { useState, useSyncExternalStore } from 'react';

import { upload } from './documents.js';
import { session, signInByKey, signOut, subscribe } from './session.js';

export function Bar() {
  const { token, expiresAt, trouble } = useSyncExternalStore(subscribe, session);
  const until = expiresAt?.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  const signedIn = until ? `Signed in until ${until}.` : 'Signed in by a key.';
  return (
    <header className="session" data-trouble={trouble && ''}>
      <span role="status">{trouble ?? (token ? signedIn : 'You are not signed in.')}</span>
      {token ? <SignedIn /> : <SignIn />}
    </header>
  );
}

function SignedIn() {
  return (
    <>
      <Upload />
      <button onClick={signOut}>Sign out</button>
    </>
  );
}

function Upload() {
  const [said, say] = useState(null);
  async function send(event) {
    const [file] = event.target.files;
    if (!file) return;
    event.target.value = ''; // the same file once more is another upload
    say(`Uploading ${file.name}...`);
    try {
      const id = await upload(file);
      say(<>{file.name} is document <code>{id}</code></>);
    } catch (error) {
      say(`${file.name}: ${error.message}`);
    }
  }
  return (
    <>
      <label>
        Upload a file <input type="file" onChange={send} />
      </label>
      <span role="status">{said}</span>
    </>
  );
}

function SignIn() {
  function submit(event) {
    event.preventDefault();
    const key = new FormData(event.target).get('key').trim();
    if (key) signInByKey(key);
  }
  return (
    <>
      <span>
        Run <code>docyard explorer</code> for a link that signs you in, or give a key:
      </span>
      <form onSubmit={submit}>
        <input name="key" type="password" autoComplete="off" placeholder="dy_..." aria-label="API key" />
        <button>Sign in</button>
      </form>
    </>
  );
}
