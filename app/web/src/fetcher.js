/** Carries operations to the API: over HTTP, subscriptions over graphql-transport-ws. */
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { createClient } from 'graphql-ws';

import { graphql, websocket } from './addresses.js';
import { ended, found, lost, session } from './session.js';

const REFUSED = [4403, 4498]; // how the API closes a websocket whose key is no good, or has ended
const LONGEST_WAIT_MS = 10_000;

/** Runs one operation. What stands in the headers editor goes before the key of the session. */
export function run(operation, options) {
  const headers = withSession(options?.headers ?? {});
  found();
  const fetcher = createGraphiQLFetcher({
    url: graphql.href,
    wsClient: socket(headers),
    fetch: async (...request) => {
      const answer = await fetch(...request);
      if (answer.status === 401) refused(headers);
      return answer;
    },
  });
  return fetcher(operation, { ...options, headers });
}

/** One websocket for each subscription, opened by it: another one may have another key. */
function socket(headers) {
  return createClient({
    url: websocket.href,
    connectionParams: headers,
    // By itself the client gives up where nobody answers, and goes on asking with a refused key.
    shouldRetry: (why) => !REFUSED.includes(why.code),
    retryAttempts: Infinity,
    retryWait: async (retries) => {
      lost();
      const wait = Math.min(1000 * 2 ** retries, LONGEST_WAIT_MS);
      await new Promise((resolve) => setTimeout(resolve, wait));
    },
    on: {
      connected: found,
      closed: (event) => REFUSED.includes(event.code) && refused(headers),
    },
  });
}

function withSession(given) {
  const named = Object.keys(given).some((name) => name.toLowerCase() === 'authorization');
  const token = session().token;
  return named || !token ? given : { ...given, Authorization: `Bearer ${token}` };
}

function refused(headers) {
  const token = session().token;
  if (token && headers.Authorization === `Bearer ${token}`) ended();
}
