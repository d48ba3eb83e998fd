// Verifies an identity assertion of the BFF with jose: reads it from stdin, prints its claims.
import { readFileSync } from 'node:fs'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const { BFF_URL: issuer, AUDIENCE: audience, ALGORITHM = 'ES256' } = process.env

const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', issuer), { cacheMaxAge: 300_000 }) // one for the whole process
const { payload } = await jwtVerify(readFileSync(0, 'utf8'), keys, {
  issuer, audience, algorithms: [ALGORITHM], typ: 'identity-assertion+jwt', requiredClaims: ['sub', 'exp'], clockTolerance: 5,
})
console.log(JSON.stringify(payload))
