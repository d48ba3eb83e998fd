// Verifies an identity assertion of the BFF with Nimbus JOSE + JWT: reads it from stdin, prints its claims.
import com.nimbusds.jose.*;
import com.nimbusds.jose.jwk.source.*;
import com.nimbusds.jose.proc.*;
import com.nimbusds.jwt.*;
import com.nimbusds.jwt.proc.*;
import java.net.URL;
import java.util.Set;

public class Verify {
    public static void main(String[] arguments) throws Exception {
        String issuer = System.getenv("BFF_URL"), audience = System.getenv("AUDIENCE");
        JWSAlgorithm algorithm = JWSAlgorithm.parse(System.getenv().getOrDefault("ALGORITHM", "ES256"));

        JWKSource<SecurityContext> keys = JWKSourceBuilder.create(new URL(issuer + "/.well-known/jwks.json")).build();
        DefaultJWTProcessor<SecurityContext> processor = new DefaultJWTProcessor<>(); // one for the whole process
        processor.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(new JOSEObjectType("identity-assertion+jwt")));
        processor.setJWSKeySelector(new JWSVerificationKeySelector<>(algorithm, keys));
        processor.setJWTClaimsSetVerifier(new DefaultJWTClaimsVerifier<>(
            audience, new JWTClaimsSet.Builder().issuer(issuer).build(), Set.of("sub", "exp")));
        String token = new String(System.in.readAllBytes());
        System.out.println(processor.process(token, null));
    }
}
