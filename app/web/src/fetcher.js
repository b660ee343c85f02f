/** Carries operations to the API: over HTTP, subscriptions over graphql-transport-ws. */
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { createClient } from 'graphql-ws';

import { graphql, websocket } from './addresses.js';
import { ended, session } from './session.js';

const REFUSED = [4403, 4498]; // how the API closes a websocket whose key is no good, or has ended

let headers = {};

const wsClient = createClient({
  url: websocket.href,
  connectionParams: () => headers,
  on: { closed: (event) => REFUSED.includes(event.code) && refused() },
});

const fetcher = createGraphiQLFetcher({
  url: graphql.href,
  wsClient,
  fetch: async (...request) => {
    const answer = await fetch(...request);
    if (answer.status === 401) refused();
    return answer;
  },
});

/** Runs one operation. What stands in the headers editor goes before the key of the session. */
export function run(operation, options) {
  headers = withSession(options?.headers ?? {});
  return fetcher(operation, { ...options, headers });
}

function withSession(given) {
  const named = Object.keys(given).some((name) => name.toLowerCase() === 'authorization');
  const token = session()?.token;
  return named || !token ? given : { ...given, Authorization: `Bearer ${token}` };
}

function refused() {
  const token = session()?.token;
  if (token && headers.Authorization === `Bearer ${token}`) ended();
}
