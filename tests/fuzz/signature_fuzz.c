/* The Authorization header of a signed request, and the request written down for its signature:
 * any bytes as header and query. */
#include <assert.h>
#include <stdlib.h>

#include "edge/edge_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct edge_signature s;
    const char *problem = NULL;
    struct str header = {(const char *)data, size}, query = header;
    ptrdiff_t end = str_find(header, '\n');
    if (end >= 0) {
        query = str_sub(header, (size_t)end + 1, size);
        header = str_sub(header, 0, (size_t)end);
    }
    bool is_good = edge_signature_parse(header, &s, &problem);
    assert(is_good == !problem);
    if (is_good)
        assert(s.key_id.n == 26 && s.signature.n == 64 && s.nonce.n <= 64 && s.time_ms >= 0);
    struct http_request req = {.method = HTTP_METHOD_GET, .path = STR("/"), .query = query};
    struct strbuf text = {0};
    edge_signature_request(&s, &req, &text);
    /* Nothing of the query is lost or added: only the order changes. */
    assert(text.n == strlen("GET\n/\n") + query.n + 1 + 64);
    strbuf_deinit(&text);
    return 0;
}
