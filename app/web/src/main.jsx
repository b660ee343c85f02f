import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './explorer.css';

import { GraphiQL } from 'graphiql';
import { StrictMode, useSyncExternalStore } from 'react';
import { createRoot } from 'react-dom/client';

import { Bar } from './bar.jsx';
import { run } from './fetcher.js';
import { session, signInByLink, subscribe } from './session.js';
import { SystemTheme } from './theme.jsx';

const FIRST_TABS = [
  {
    query: `# Ctrl-Enter runs, Ctrl-Space completes.
# The book on the left explains every word.
query Newest {
  jobs(first: 5) {
    nodes { id name type status progress }
  }
  documents(first: 5) {
    nodes { id filename mimeType mediaLength }
  }
}
`,
  },
  {
    query: `# Send a file by "Upload a file" above, and put its id
# into the variables. Watch shows how the job fares.
mutation Create($documents: [ID!]!) {
  createJob(input: { task: { segment: {} }, documentIds: $documents }) {
    ... on CreateJobSuccess { job { id status } }
    ... on Problem { code detail }
  }
}
`,
    variables: '{ "documents": [""] }',
  },
  {
    query: `# Follows all jobs from now on. With the last cursor as
# "after" it goes on where it was; jobEvents follows one.
subscription Watch($after: String) {
  events(after: $after) {
    cursor jobId kind status progress message
  }
}
`,
  },
  {
    query: `query Read($job: ID!) {
  job(id: $job) {
    status
    error { code message }
    result {
      ... on SegmentResult {
        segmentCount
        segments(first: 20) { nodes { page title body } }
      }
    }
  }
}
`,
    variables: '{ "job": "" }',
  },
];

function Explorer() {
  // Another schema fetch for another session: the fetcher is a new one to GraphiQL.
  const { token } = useSyncExternalStore(subscribe, session);
  return (
    <>
      <Bar />
      <GraphiQL
        key={token}
        fetcher={run}
        defaultTabs={FIRST_TABS}
        defaultEditorToolsVisibility="variables"
        showPersistHeadersSettings={false} // keys are not for the browser's storage
      >
        <GraphiQL.Logo>
          Docyard
          <SystemTheme />
        </GraphiQL.Logo>
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
