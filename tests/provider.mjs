// A real OpenID provider (npm oidc-provider) on a loopback port, for the tests.
//
//   node provider.mjs FOLDER    FOLDER has node_modules/oidc-provider
//
// Each line on stdin is a JSON object: { "keys": [private JWKs], "port": 0 } publishes these keys from then on (the first
// line starts it), { "keys": null } closes the port. Each is answered by one line on stdout: { "issuer": ... } or {}.
// Whoever signs in says so by POST to the page that the provider sends them to: { account, amr, acr, ago }, where `ago`
// is how many seconds ago they authenticated.
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const packaged = join(process.argv[2], 'node_modules/oidc-provider/lib/index.js');
const { default: Provider } = await import(pathToFileURL(packaged));

const client = (id, more = {}) => ({
  client_id: id,
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  grant_types: ['authorization_code'],
  response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/callback'],
  ...more,
});
const configuration = (keys) => ({
  jwks: { keys },
  clients: [
    client('countersign-cli'),
    client('another-client'),
    client('with-p256', { id_token_signed_response_alg: 'ES256' }),
  ],
  acrValues: ['phr', 'urn:example:password'],
  claims: { openid: ['sub', 'acr', 'amr'], email: ['email', 'email_verified'] },
  conformIdTokenClaims: false,
  cookies: { keys: ['a secret of the tests'] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/sign-in/${interaction.uid}` },
  pkce: { required: () => true },
  renderError: (ctx, out) => { ctx.body = out; },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true }),
  }),
});

// Its notices would stand between the answers.
console.info = () => {};
let provider;
let server;

async function signIn(request, response) {
  const { prompt, params } = await provider.interactionDetails(request, response);
  if (request.method !== 'POST') {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ prompt: prompt.name }));
    return;
  }
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const { account, amr, acr, ago = 0 } = JSON.parse(Buffer.concat(pieces));
  if (account === null) {
    const no = { error: 'access_denied', error_description: 'they did not want to' };
    await provider.interactionFinished(request, response, no);
    return;
  }
  const grant = new provider.Grant({ accountId: account, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  // Native clients are asked for consent each time (RFC 8252, 8.6), also where nobody has to log in again.
  const ts = Math.floor(Date.now() / 1000) - ago;
  const login = prompt.name === 'login' ? { login: { accountId: account, amr, acr, ts } } : {};
  await provider.interactionFinished(request, response, { ...login, consent: { grantId: await grant.save() } });
}

function answer(request, response) {
  const work = request.url.startsWith('/sign-in/')
    ? signIn(request, response)
    : provider.callback()(request, response);
  Promise.resolve(work).catch((error) => {
    response.writeHead(500);
    response.end(String(error));
  });
}

async function obey({ keys, port = 0 }) {
  if (keys === null) {
    server.closeAllConnections();
    await new Promise((done) => { server.close(done); });
    server = undefined;
    return {};
  }
  if (server === undefined) {
    server = createServer(answer);
    await new Promise((done) => { server.listen(port, '127.0.0.1', done); });
  }
  const issuer = `http://127.0.0.1:${server.address().port}`;
  provider = new Provider(issuer, configuration(keys));
  return { issuer };
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await obey(JSON.parse(line))));
}
process.exit(0);
