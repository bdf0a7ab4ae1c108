// BouncyCastle's EST client, driven by the tests in tests/system/clients/bouncycastle.rs.
//
// java -cp … EstDriver OPERATION KEY=VALUE…
//   cacerts | enroll | reenroll | serverkeygen | csrattrs
//   server=HOST:PORT  label=NAME  roots=FILE  tls=TLSv1.2|TLSv1.3
//   user=NAME  password=TEXT  credential=PKCS12-FILE (password "test")
//   name=COMMON-NAME  retries=N  out=FILE
//
// Writes what it got to `out` as PEM, prints one line for each thing, and ends with 0 if all went well.

import java.io.FileInputStream;
import java.io.FileWriter;
import java.io.InputStream;
import java.io.StringWriter;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import javax.net.ssl.KeyManagerFactory;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.ExtensionsGenerator;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.est.CSRAttributesResponse;
import org.bouncycastle.est.CSRRequestResponse;
import org.bouncycastle.est.ESTAuth;
import org.bouncycastle.est.ESTException;
import org.bouncycastle.est.ESTService;
import org.bouncycastle.est.EnrollmentResponse;
import org.bouncycastle.est.jcajce.JcaHttpAuthBuilder;
import org.bouncycastle.est.jcajce.JcaJceUtils;
import org.bouncycastle.est.jcajce.JsseDefaultHostnameAuthorizer;
import org.bouncycastle.est.jcajce.JsseESTServiceBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.openssl.jcajce.JcaPEMWriter;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;
import org.bouncycastle.pkcs.jcajce.JcaPKCS10CertificationRequestBuilder;
import org.bouncycastle.util.io.pem.PemObject;

public final class EstDriver {
    private final Map<String, String> options = new HashMap<>();

    public static void main(String[] args) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        EstDriver driver = new EstDriver();
        for (int i = 1; i < args.length; i++) {
            int equals = args[i].indexOf('=');
            driver.options.put(args[i].substring(0, equals), args[i].substring(equals + 1));
        }
        try {
            driver.run(args[0]);
        } catch (ESTException e) {
            InputStream body = e.getBody();
            String text = body == null ? "" : new String(body.readAllBytes());
            System.out.println("status " + e.getStatusCode() + ": " + e.getMessage() + ": " + text);
            e.printStackTrace();
            System.exit(1);
        }
    }

    private void run(String operation) throws Exception {
        ESTService service = service();
        switch (operation) {
            case "cacerts":
                write(service.getCACerts().getCertificateStore().getMatches(null), null);
                break;
            case "csrattrs":
                attributes(service.getCSRAttributes());
                break;
            case "enroll":
            case "reenroll":
            case "serverkeygen":
                enroll(service, operation);
                break;
            default:
                throw new IllegalArgumentException(operation);
        }
    }

    private ESTService service() throws Exception {
        Set<TrustAnchor> anchors = new HashSet<>();
        try (InputStream roots = new FileInputStream(options.get("roots"))) {
            for (Object root : CertificateFactory.getInstance("X.509").generateCertificates(roots)) {
                anchors.add(new TrustAnchor((X509Certificate) root, null));
            }
        }
        JsseESTServiceBuilder builder = new JsseESTServiceBuilder(
            options.get("server"), JcaJceUtils.getCertPathTrustManager(anchors, null));
        builder.withTLSVersion(options.getOrDefault("tls", "TLSv1.3"));
        builder.withHostNameAuthorizer(new JsseDefaultHostnameAuthorizer(new HashSet<>()));
        builder.withTimeout(30_000);
        if (options.containsKey("label")) {
            builder.withLabel(options.get("label"));
        }
        if (options.containsKey("credential")) {
            char[] password = "test".toCharArray();
            KeyStore store = KeyStore.getInstance("PKCS12");
            try (InputStream file = new FileInputStream(options.get("credential"))) {
                store.load(file, password);
            }
            KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
            keys.init(store, password);
            builder.withKeyManagers(keys.getKeyManagers());
        }
        return builder.build();
    }

    private void enroll(ESTService service, String operation) throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
        generator.initialize(new ECGenParameterSpec("secp256r1"));
        KeyPair key = generator.generateKeyPair();
        PKCS10CertificationRequest request = request(key, options.get("name"));
        ESTAuth auth = null;
        if (options.containsKey("user")) {
            String password = options.get("password");
            auth = new JcaHttpAuthBuilder("EST", options.get("user"), password.toCharArray()).build();
        }
        EnrollmentResponse response = operation.equals("serverkeygen")
            ? service.simpleEnrollWithServersideCreation(request, auth)
            : service.simpleEnroll(operation.equals("reenroll"), request, auth);
        int retries = Integer.parseInt(options.getOrDefault("retries", "0"));
        while (!response.isCompleted() && retries-- > 0) {
            System.out.println("pending");
            Thread.sleep(Math.max(0, response.getNotBefore() - System.currentTimeMillis()));
            response = service.simpleEnroll(response);
        }
        if (!response.isCompleted()) {
            System.out.println("still pending");
            System.exit(2);
        }
        byte[] privateKey = operation.equals("serverkeygen")
            ? response.getPrivateKeyInfo().getEncoded()
            : key.getPrivate().getEncoded();
        write(response.getStore().getMatches(null), privateKey);
    }

    private static PKCS10CertificationRequest request(KeyPair key, String name) throws Exception {
        ExtensionsGenerator extensions = new ExtensionsGenerator();
        GeneralNames names = new GeneralNames(new GeneralName(GeneralName.dNSName, name));
        extensions.addExtension(Extension.subjectAlternativeName, false, names);
        return new JcaPKCS10CertificationRequestBuilder(new X500Name("CN=" + name), key.getPublic())
            .addAttribute(PKCSObjectIdentifiers.pkcs_9_at_extensionRequest, extensions.generate())
            .build(new JcaContentSignerBuilder("SHA256withECDSA").build(key.getPrivate()));
    }

    private static void attributes(CSRRequestResponse answer) throws Exception {
        if (!answer.hasAttributesResponse()) {
            System.out.println("no attributes");
            return;
        }
        CSRAttributesResponse attributes = answer.getAttributesResponse();
        for (Object requirement : attributes.getRequirements()) {
            System.out.println("attribute " + requirement);
        }
    }

    /// The private key is PKCS #8.
    private void write(Collection<X509CertificateHolder> certificates, byte[] privateKey) throws Exception {
        StringWriter text = new StringWriter();
        try (JcaPEMWriter writer = new JcaPEMWriter(text)) {
            for (X509CertificateHolder certificate : certificates) {
                System.out.println("certificate " + certificate.getSubject());
                writer.writeObject(certificate);
            }
            if (privateKey != null) {
                writer.writeObject(new PemObject("PRIVATE KEY", privateKey));
            }
        }
        try (FileWriter file = new FileWriter(options.get("out"))) {
            file.write(text.toString());
        }
    }
}
