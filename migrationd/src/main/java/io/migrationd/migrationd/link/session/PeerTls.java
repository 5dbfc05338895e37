package io.migrationd.migrationd.link.session;

import io.netty.buffer.ByteBufAllocator;
import io.netty.handler.ssl.ClientAuth;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslHandler;
import io.netty.handler.ssl.SslProvider;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.CertificateParsingException;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import javax.naming.InvalidNameException;
import javax.naming.ldap.LdapName;
import javax.naming.ldap.Rdn;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;

/** Mutual TLS 1.3 between daemons: each shows a certificate that the common authority has signed. */
public final class PeerTls {
    private static final int DNS_NAME = 2;
    private static final String PROTOCOL = "TLSv1.3";

    private final SslContext client;
    private final SslContext server;
    private final Certificate own;

    /**
     * What a certificate says.
     *
     * @param names its DNS names, or the common name if it has none; the first one is the host's
     */
    public record Certificate(List<String> names, Instant expires) {
        /** The host. */
        public String name() {
            return names.getFirst();
        }
    }

    private PeerTls(SslContext client, SslContext server, Certificate own) {
        this.client = client;
        this.server = server;
        this.own = own;
    }

    /**
     * Reads PEM files.
     *
     * @param certificate ours, with its chain
     * @param key its private key, PKCS #8 without password
     * @param authority who signs the certificates of the peers
     * @throws PeerSetupException a file is missing or is not what it should be
     */
    public static PeerTls load(Path certificate, Path key, Path authority) throws PeerSetupException {
        Certificate own = read(certificate);
        read(authority);
        try {
            SslContext client = SslContextBuilder.forClient()
                    .sslProvider(SslProvider.JDK)
                    .protocols(PROTOCOL)
                    .keyManager(certificate.toFile(), key.toFile())
                    .trustManager(authority.toFile())
                    // The name is compared with that of the peer's configuration, not with an address.
                    .endpointIdentificationAlgorithm(null)
                    .build();
            SslContext server = SslContextBuilder.forServer(certificate.toFile(), key.toFile())
                    .sslProvider(SslProvider.JDK)
                    .protocols(PROTOCOL)
                    .trustManager(authority.toFile())
                    .clientAuth(ClientAuth.REQUIRE)
                    .build();
            return new PeerTls(client, server, own);
        } catch (SSLException | IllegalArgumentException e) {
            throw new PeerSetupException(
                    "no TLS with certificate %s, key %s (PKCS #8 in PEM) and authority %s: %s"
                            .formatted(certificate, key, authority, e.getMessage()),
                    e);
        }
    }

    private static Certificate read(Path file) throws PeerSetupException {
        try (InputStream in = Files.newInputStream(file)) {
            return certificateOf(
                    (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in));
        } catch (IOException | CertificateException e) {
            throw new PeerSetupException("%s is no certificate in PEM: %s".formatted(file, e), e);
        }
    }

    /** When our own certificate ends. */
    public Instant certificateExpires() {
        return own.expires();
    }

    /** The host that our own certificate names. */
    public String certificateName() {
        return own.name();
    }

    SslHandler clientHandler(ByteBufAllocator allocator, long handshakeMillis) {
        return limited(client.newHandler(allocator), handshakeMillis);
    }

    SslHandler serverHandler(ByteBufAllocator allocator, long handshakeMillis) {
        return limited(server.newHandler(allocator), handshakeMillis);
    }

    private static SslHandler limited(SslHandler handler, long handshakeMillis) {
        handler.setHandshakeTimeoutMillis(handshakeMillis);
        return handler;
    }

    static Certificate certificateOf(SSLSession session) throws IOException {
        try {
            return certificateOf((X509Certificate) session.getPeerCertificates()[0]);
        } catch (SSLPeerUnverifiedException | CertificateParsingException e) {
            throw new IOException("the peer's certificate can't be read", e);
        }
    }

    private static Certificate certificateOf(X509Certificate certificate) throws CertificateParsingException {
        List<String> names = new ArrayList<>();
        Collection<List<?>> alternatives = certificate.getSubjectAlternativeNames();
        if (alternatives != null) {
            for (List<?> alternative : alternatives) {
                if (alternative.get(0).equals(DNS_NAME)) {
                    names.add(String.valueOf(alternative.get(1)));
                }
            }
        }
        if (names.isEmpty()) {
            names.add(commonName(certificate.getSubjectX500Principal().getName()));
        }
        return new Certificate(List.copyOf(names), certificate.getNotAfter().toInstant());
    }

    private static String commonName(String subject) throws CertificateParsingException {
        try {
            for (Rdn part : new LdapName(subject).getRdns()) {
                if (part.getType().equalsIgnoreCase("CN")) {
                    return String.valueOf(part.getValue());
                }
            }
        } catch (InvalidNameException e) {
            throw new CertificateParsingException("subject " + subject, e);
        }
        throw new CertificateParsingException("neither a DNS name nor a common name: " + subject);
    }
}
