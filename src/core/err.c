/*
 * err: names, texts and HTTP statuses of the error vocabulary, all from ERR_MAP, and the two doors
 * through which foreign error codes (errno, libuv) come in.
 */
#include "core/err.h"

#include <errno.h>
#include <string.h>
#include <uv.h>

struct err_row {
    const char *name;
    const char *text;
    int http;
};

/* Indexed by gRPC code; the names are lowered once here so that the API's spelling is plain. */
static const struct err_row rows[] = {
#define XX(upper, code, http_status, sentence) [code] = {#upper, sentence, http_status},
    ERR_MAP(XX)
#undef XX
};

#define NAME_SIZE 24

static const struct err_row *row_of(enum err err)
{
    return (unsigned)err < ARRAY_LEN(rows) ? &rows[err] : &rows[ERR_UNKNOWN];
}

/* Lower-case spellings, filled before main so that reading them needs no lock. */
static char lower_names[ARRAY_LEN(rows)][NAME_SIZE];

__attribute__((constructor)) static void lower_all(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t k = 0; k < NAME_SIZE - 1 && rows[i].name[k]; k++) {
            char c = rows[i].name[k];
            lower_names[i][k] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
}

const char *err_name(enum err err)
{
    return lower_names[row_of(err) - rows];
}

const char *err_text(enum err err)
{
    return row_of(err)->text;
}

int err_http_status(enum err err)
{
    return row_of(err)->http;
}

enum err err_from_name(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_LEN(rows); i++)
        if (strcmp(lower_names[i], name) == 0)
            return (enum err)i;
    return ERR_UNKNOWN;
}

enum err err_from_errno(int error_number)
{
    switch (error_number) {
    case 0:
        return ERR_OK;
    case ENOENT:
    case ESRCH:
    case ENXIO:
    case ENODEV:
        return ERR_NOT_FOUND;
    case EEXIST:
    case EADDRINUSE:
        return ERR_ALREADY_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION_DENIED;
    case EINVAL:
    case ENAMETOOLONG:
    case EBADMSG:
    case EPROTO:
        return ERR_INVALID_ARGUMENT;
    case ENOTDIR:
    case EISDIR:
    case ENOTEMPTY:
    case EBUSY:
    case ELOOP:
    case EXDEV:
        return ERR_FAILED_PRECONDITION;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EFBIG:
    case EMSGSIZE:
    case ENOBUFS:
        return ERR_RESOURCE_EXHAUSTED;
    case EAGAIN:
    case EINTR:
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENOTCONN:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
        return ERR_UNAVAILABLE;
    case ETIMEDOUT:
        return ERR_DEADLINE_EXCEEDED;
    case ECANCELED:
        return ERR_CANCELLED;
    case ERANGE:
    case EOVERFLOW:
        return ERR_OUT_OF_RANGE;
    case ENOSYS:
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
        return ERR_UNIMPLEMENTED;
    case EIO:
        return ERR_DATA_LOSS;
    default:
        return ERR_UNKNOWN;
    }
}

enum err err_from_uv(int uv_code)
{
    switch (uv_code) {
    case UV_EOF:
    case UV_EAI_AGAIN:
    case UV_EAI_FAIL:
        return ERR_UNAVAILABLE;
    case UV_EAI_NONAME:
    case UV_EAI_NODATA:
        return ERR_NOT_FOUND;
    case UV_EAI_CANCELED:
        return ERR_CANCELLED;
    default:
        return uv_code >= 0 ? ERR_OK : err_from_errno(-uv_code); /* on Unix UV_Exxx is -Exxx */
    }
}
