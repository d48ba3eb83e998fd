// oidc-provider with its own pages (devInteractions), and a second port on which the tests register clients, set the
// lifetime of access tokens, look at refresh tokens, add signing keys and withdraw resources. Arguments: the issuer, the
// public port and the control port.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';

import { errors, Provider } from 'oidc-provider';
import { createMemoryAdapter } from 'oidc-provider/lib/adapters/memory_adapter.js';

const [issuer, port, controlPort] = process.argv.slice(2);
const adapter = createMemoryAdapter(); // outlives the Provider objects, of which each has other keys
const lifetimes = new Map(); // seconds of an access token by client_id
const withdrawn = new Set(); // resources that a client gets no more
const algorithms = ['RS256', 'PS256', 'ES256', 'Ed25519', 'EdDSA'];

const newKeys = () => [
  generateKeyPairSync('rsa', { modulusLength: 2048 }),
  generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  generateKeyPairSync('ed25519'),
].map(({ privateKey }) => ({ ...privateKey.export({ format: 'jwk' }), use: 'sig' }));

const account = (id) => ({
  accountId: id,
  claims: () => ({ sub: id, email: id, email_verified: true, name: id, given_name: id.split('@')[0] }),
});

const withKeys = (keys) => new Provider(issuer, {
  adapter,
  jwks: { keys },
  cookies: { keys: ['a key of the tests'] },
  findAccount: (_, id) => account(id),
  // Without its dispatcher, which refuses loopback: that is where the BFF of the tests gets logout tokens.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  scopes: ['openid', 'offline_access', 'api:read'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'given_name'] },
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt'],
  enabledJWA: {
    clientAuthSigningAlgValues: ['HS256', ...algorithms],
    idTokenSigningAlgValues: algorithms,
    userinfoSigningAlgValues: algorithms,
    idTokenEncryptionAlgValues: ['RSA-OAEP-256', 'ECDH-ES', 'ECDH-ES+A256KW'],
    idTokenEncryptionEncValues: ['A256GCM', 'A128CBC-HS256'],
    dPoPSigningAlgValues: ['ES256', 'Ed25519', 'EdDSA'],
  },
  extraClientMetadata: { properties: ['rotates'] },
  // By itself oidc-provider rotates the refresh tokens of a confidential client near the end of their lifetime.
  rotateRefreshToken: (ctx) => ctx.oidc.client.rotates === true,
  features: {
    backchannelLogout: { enabled: true },
    dPoP: { enabled: true },
    encryption: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    jwtUserinfo: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: (_, resource, client) => {
        if (withdrawn.has(`${client.clientId} ${resource}`) || !resource.endsWith('.example.com/')) throw new errors.InvalidTarget();
        return { scope: 'api:read', audience: resource, accessTokenFormat: 'jwt' };
      },
    },
    revocation: { enabled: true },
  },
  ttl: {
    AccessToken: (_, token, client) => lifetimes.get(client.clientId) ?? 3600,
    Grant: 86400,
    IdToken: 3600,
    Interaction: 3600,
    RefreshToken: 86400,
    Session: 86400,
  },
});

const running = (keys) => {
  const provider = withKeys(keys);
  provider.on('backchannel.error', (_, error, client) => console.error(client.clientId, error));
  provider.on('server_error', (_, error) => console.error(error));
  return provider.callback();
};

let keys = newKeys();
let provider = running(keys);

const orders = {
  '/clients': async (client) => adapter('Client').upsert(client.client_id, client),
  '/lifetimes': async ({ client_id, seconds }) => { lifetimes.set(client_id, seconds); },
  '/keys': async () => {
    keys = [...newKeys(), ...keys]; // the first of a kind signs
    provider = running(keys);
  },
  '/tokens': async ({ token }) => ({ active: Boolean(await adapter('RefreshToken').find(token)) }),
  '/withdrawals': async ({ client_id, resource }) => { withdrawn.add(`${client_id} ${resource}`); },
  '/revocations': async ({ token }) => adapter('RefreshToken').destroy(token),
};

const control = async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const answer = await orders[request.url](JSON.parse(Buffer.concat(chunks)));
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer ?? {}));
};

createServer((request, response) => provider(request, response)).listen(Number(port), '127.0.0.1');
createServer(control).listen(Number(controlPort), '127.0.0.1');
