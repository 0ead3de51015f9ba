/*
 * stream_tls: OpenSSL works on the stream's own descriptor; its many ways of saying "wait" and
 * "gone" become errno values here and nowhere else. The error queue is per thread and must be empty
 * before a call whose result is asked for with SSL_get_error.
 */
#include <errno.h>
#include <openssl/err.h>

#include "net/stream_internal.h"

static int failure(struct stream *s, int rc)
{
    switch (SSL_get_error(s->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        /* After a fatal error the session must not be shut down politely. */
        SSL_set_quiet_shutdown(s->ssl, 1);
        return -EPROTO;
    }
}

int stream_tls_handshake(struct stream *s)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(s->ssl);
    if (rc == 1)
        return 1;
    rc = failure(s, rc);
    return rc == -EAGAIN ? 0 : -EPROTO;
}

ssize_t stream_tls_read(struct stream *s, void *to, size_t space)
{
    size_t n;
    ERR_clear_error();
    int rc = SSL_read_ex(s->ssl, to, space, &n);
    return rc == 1 ? (ssize_t)n : failure(s, rc);
}

ssize_t stream_tls_write(struct stream *s, const void *bytes, size_t n)
{
    size_t written;
    ERR_clear_error();
    int rc = SSL_write_ex(s->ssl, bytes, n, &written);
    if (rc == 1)
        return (ssize_t)written;
    rc = failure(s, rc);
    return rc == 0 ? -EPIPE : rc;
}

void stream_tls_shut(struct stream *s)
{
    ERR_clear_error();
    (void)SSL_shutdown(s->ssl); /* close_notify; the peer's is not waited for */
}
