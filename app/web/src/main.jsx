import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './explorer.css';

import { GraphiQL } from 'graphiql';
import { StrictMode, useSyncExternalStore } from 'react';
import { createRoot } from 'react-dom/client';

import { run } from './fetcher.js';
import { session, signInByLink, signOut, subscribe } from './session.js';

const FIRST_TABS = [
  {
    query: `# Ctrl-Enter runs, Ctrl-Space completes.
# The book on the left explains every word.
query Jobs {
  viewer {
    application { name openJobs }
    scope
  }
  jobs(first: 10) {
    nodes { id name status progress }
  }
}
`,
  },
  {
    query: `# Follows a job to its end. With the last cursor
# as "after" it goes on where it was.
subscription Watch($job: ID!, $after: String) {
  jobEvents(jobId: $job, after: $after) {
    cursor seq kind status progress message
  }
}
`,
    variables: '{ "job": "" }',
  },
];

function SignedIn() {
  const now = useSyncExternalStore(subscribe, session);
  if (now?.token) {
    const until = now.expiresAt.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    return (
      <p className="session">
        Signed in until {until}. <button onClick={signOut}>Sign out</button>
      </p>
    );
  }
  return (
    <p className="session" data-refused={now?.refused ? '' : undefined}>
      {now?.refused ?? 'You are not signed in.'} Run <code>docyard explorer</code> for a link that
      signs you in, or write a key into Headers: <code>{'{"Authorization": "Bearer dy_..."}'}</code>
    </p>
  );
}

function Explorer() {
  // Another schema fetch for another session: the fetcher is a new one to GraphiQL.
  const now = useSyncExternalStore(subscribe, session);
  return (
    <>
      <SignedIn />
      <GraphiQL
        key={now?.token}
        fetcher={run}
        defaultTabs={FIRST_TABS}
        defaultEditorToolsVisibility="variables"
        showPersistHeadersSettings={false} // keys are not for the browser's storage
      >
        <GraphiQL.Logo>Docyard</GraphiQL.Logo>
      </GraphiQL>
    </>
  );
}

await signInByLink();
window.addEventListener('hashchange', signInByLink); // another link in the same tab
createRoot(document.getElementById('explorer')).render(
  <StrictMode>
    <Explorer />
  </StrictMode>,
);
