/** Where the API is: beside this page, under whatever path a proxy has put both. */
export const graphql = new URL('graphql', document.baseURI);
export const signIn = new URL('graphiql/sign-in', document.baseURI);
export const websocket = new URL(graphql);
websocket.protocol = graphql.protocol === 'https:' ? 'wss:' : 'ws:';
