/** Sends files, the one thing that GraphiQL cannot. */
import { graphql } from './addresses.js';
import { session } from './session.js';

const UPLOAD = `mutation Upload($file: Upload!) {
  uploadDocument(file: $file) {
    ... on UploadDocumentSuccess { document { id } }
    ... on Problem { detail }
  }
}`;

/** Makes a document of a file; returns its id. Throws an Error that says why there is none. */
export async function upload(file) {
  const form = new FormData();
  form.set('operations', JSON.stringify({ query: UPLOAD, variables: { file: null } }));
  form.set('map', JSON.stringify({ 0: ['variables.file'] }));
  form.set('0', file);
  const answer = await fetch(graphql, {
    method: 'POST',
    headers: { Authorization: `Bearer ${session().token}`, 'GraphQL-Require-Preflight': '1' },
    body: form,
  });
  const { data, errors } = await answer.json();
  const { document, detail } = data?.uploadDocument ?? {};
  if (!document) throw new Error(detail ?? errors[0].message);
  return document.id;
}
