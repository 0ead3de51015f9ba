/* Signature Version 4 by the examples of Amazon's own documentation of S3. */
#include "test.h"

#include "blob/blob_s3_internal.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static struct s3_signed example(const char *path, const char *query)
{
    return (struct s3_signed){.method = "GET",
                              .host = "examplebucket.s3.amazonaws.com",
                              .path = path,
                              .query = query,
                              .region = "us-east-1",
                              .access_key = "AKIAIOSFODNN7EXAMPLE",
                              .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                              .date = "20130524T000000Z",
                              .payload_sha256 = EMPTY};
}

static void must_sign(const struct s3_signed *in, const char *headers, const char *signature)
{
    struct arena *arena = arena_create();
    const char *expected = arena_printf(arena,
                                        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/"
                                        "us-east-1/s3/aws4_request,SignedHeaders=%s,Signature=%s",
                                        headers, signature);
    assert_string_equal(blob_s3_sign(in, arena), expected);
    assert_string_equal(blob_s3_sha256(STR(""), arena), EMPTY);
    arena_destroy(&arena);
}

static void test_get_of_a_range(void **state UNUSED)
{
    const struct fetch_header range = {"range", "bytes=0-9"};
    struct s3_signed in = example("/test.txt", "");
    in.headers = &range;
    in.header_count = 1;
    must_sign(&in, "host;range;x-amz-content-sha256;x-amz-date",
              "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void test_queries(void **state UNUSED)
{
    struct s3_signed in = example("/", "lifecycle=");
    must_sign(&in, "host;x-amz-content-sha256;x-amz-date",
              "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    in = example("/", "max-keys=2&prefix=J");
    must_sign(&in, "host;x-amz-content-sha256;x-amz-date",
              "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void test_encoding(void **state UNUSED)
{
    struct arena *arena = arena_create();
    assert_string_equal(blob_s3_encode(STR("aZ09-._~"), arena), "aZ09-._~");
    assert_string_equal(blob_s3_encode(STR("a/b+c=d e\xc3\xa4"), arena), "a%2Fb%2Bc%3Dd%20e%C3%A4");
    arena_destroy(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_of_a_range),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_encoding),
    };
    return cmocka_run_group_tests_name("blob sign", tests, NULL, NULL);
}
