/*
 * The life of files: uploads over a restart and over lost bytes, what expires and what stays, who
 * may ask what. The service on a store and blobs of its own; nothing is looked into (no convert).
 */
#include "test.h"

#include <unistd.h>

#include "core/file.h"
#include "services/file/file_internal.h"

#define DAY_MS (24 * 3600 * 1000LL)

static struct {
    char dir[64];
    struct store *store;
    struct bus *bus;
    struct blob_store *blob;
    struct file_service *service;
    ProtobufCService *file;
    struct arena *arena; /* replies of a test */
    struct identity alice, bob, guest;
} t;

static enum err answer_err;
static int answer_status;

static void must(enum err err)
{
    assert_int_equal(err, ERR_OK);
}

static void open_service(void)
{
    must(file_create(&t.service, &(struct file_deps){.store = t.store,
                                                     .bus = t.bus,
                                                     .blob = t.blob,
                                                     .file_max_bytes = 1000,
                                                     .quota_bytes = 2000}));
    t.file = rpc_local_create(file_rpc(t.service), NULL);
}

static void close_service(void)
{
    rpc_local_destroy(&t.file);
    file_destroy(&t.service);
}

static void be(struct identity *who, enum identity_role role)
{
    who->role = role;
    id_make(who->user_id);
}

static int setup(void **state UNUSED)
{
    char path[128];
    snprintf(t.dir, sizeof(t.dir), "/tmp/parlance-file-XXXXXX");
    assert_non_null(mkdtemp(t.dir));
    snprintf(path, sizeof(path), "%s/blobs", t.dir);
    must(store_open(&t.store, &(struct store_options){.driver = "sqlite", .url = ":memory:"}));
    must(store_migrate(t.store, file_migrations, file_migration_count));
    must(bus_open(&t.bus, &(struct bus_options){.driver = "memory"}));
    must(blob_open(&t.blob, &(struct blob_options){.root = path}));
    be(&t.alice, ROLE_USER);
    be(&t.bob, ROLE_USER);
    be(&t.guest, ROLE_GUEST);
    t.arena = arena_create();
    open_service();
    return 0;
}

static int teardown(void **state UNUSED)
{
    char command[128];
    close_service();
    blob_close(&t.blob);
    bus_close(&t.bus);
    store_close(&t.store);
    arena_destroy(&t.arena);
    snprintf(command, sizeof(command), "rm -rf %s", t.dir);
    assert_int_equal(system(command), 0);
    return 0;
}

/* The reply in the test's arena, or NULL. */
static void *ask(const char *method, const void *in, const struct identity *who)
{
    struct rpc_call *call = rpc_call_create(NULL);
    call->who = who;
    const ProtobufCMessage *reply = rpc_sync(t.file, method, in, call);
    void *copy = reply ? rpc_message_copy(t.arena, reply) : NULL;
    answer_err = call->err;
    answer_status = call->http_status;
    rpc_call_unref(&call);
    return copy;
}

static const char *begin(const struct identity *who, int64_t length)
{
    File__CreateUploadRequest in = FILE__CREATE_UPLOAD_REQUEST__INIT;
    in.tus_version = (char *)"1.0.0";
    in._length_case = FILE__CREATE_UPLOAD_REQUEST___LENGTH_LENGTH;
    in.length = length;
    const File__Upload *u = ask("CreateUpload", &in, who);
    return u ? u->id : NULL;
}

static const File__Upload *put(const struct identity *who, const char *id, int64_t offset,
                               const char *bytes)
{
    File__WriteUploadRequest in = FILE__WRITE_UPLOAD_REQUEST__INIT;
    in.id = (char *)id;
    in.tus_version = (char *)"1.0.0";
    in.content_type = (char *)"application/offset+octet-stream";
    in._offset_case = FILE__WRITE_UPLOAD_REQUEST___OFFSET_OFFSET;
    in.offset = offset;
    in.bytes = (ProtobufCBinaryData){strlen(bytes), (uint8_t *)bytes};
    return ask("WriteUpload", &in, who);
}

static const char *upload(const struct identity *who, const char *bytes)
{
    const char *id = begin(who, (int64_t)strlen(bytes));
    assert_non_null(id);
    assert_non_null(put(who, id, 0, bytes));
    return id;
}

static const File__FileInfo *info(const struct identity *who, const char *id)
{
    File__GetFileRequest in = FILE__GET_FILE_REQUEST__INIT;
    in.id = (char *)id;
    return ask("GetInfo", &in, who);
}

static const File__ClaimReply *claim(const struct identity *who, const char *owner_id,
                                     const char *id)
{
    char *ids[] = {(char *)id};
    File__ClaimRequest in = FILE__CLAIM_REQUEST__INIT;
    in.user_id = (char *)owner_id;
    in.ids = ids;
    in.n_ids = 1;
    return ask("Claim", &in, who);
}

struct change {
    const char *sql, *id;
    int64_t number;
};

static enum err change_job(struct store_tx *tx, void *arg)
{
    const struct change *c = arg;
    return store_run(tx, c->sql, "is", c->number, c->id);
}

static void change(const char *sql, int64_t number, const char *id)
{
    struct change c = {sql, id, number};
    must(store_write_sync(t.store, 0, change_job, &c));
}

struct counting {
    const char *sql, *id;
    int64_t number;
};

static enum err count_job(struct store_tx *tx, void *arg)
{
    struct counting *c = arg;
    struct store_stmt *st = store_query(tx, c->sql, "s", c->id);
    c->number = store_step(st) ? store_int(st, 0) : -1;
    return store_finish(st);
}

static int64_t count(const char *sql, const char *id)
{
    struct counting c = {sql, id, 0};
    must(store_read(t.store, count_job, &c));
    return c.number;
}

static void let_age(const char *id, int64_t age_ms)
{
    change("UPDATE file_files SET idle_since_ms = ? WHERE id = ?", clock_wall_ms() - age_ms, id);
}

/* As by the event of a transaction. */
static enum err ref_job(struct store_tx *tx, void *arg)
{
    const File__RefEvent *e = arg;
    return e->is_released ? file_store_release(tx, e->file_id, e->ref)
                          : file_store_add_ref(tx, e->file_id, e->ref);
}

static void refer(const char *id, const char *ref, bool is_released)
{
    File__RefEvent e = FILE__REF_EVENT__INIT;
    e.file_id = (char *)id;
    e.ref = (char *)ref;
    e.is_released = is_released;
    must(store_write_sync(t.store, 0, ref_job, &e));
}

static int64_t used(const struct identity *who)
{
    File__ListFilesRequest in = FILE__LIST_FILES_REQUEST__INIT;
    const File__FileList *list = ask("ListFiles", &in, who);
    assert_non_null(list);
    return list->used_bytes;
}

static bool has_bytes(const char *id)
{
    char name[FILE_BLOB_NAME_SIZE];
    uint64_t size;
    file_blob_name(name, id);
    return blob_size(t.blob, name, &size) == ERR_OK || blob_part_sync(t.blob, name) == ERR_OK;
}

/* ---- tests ---- */

static void test_over_a_restart(void **state UNUSED)
{
    const char *id = begin(&t.alice, 10);
    assert_int_equal(put(&t.alice, id, 0, "01234")->offset, 5);
    close_service();
    open_service();
    assert_null(put(&t.alice, id, 0, "01234"));
    assert_int_equal(answer_err, ERR_ABORTED);
    assert_int_equal(put(&t.alice, id, 5, "56789")->offset, 10);
    assert_int_equal(info(&t.alice, id)->state, FILE__STATE__READY);
    /* all was here, and then it crashed before anybody looked */
    id = begin(&t.alice, 3);
    assert_int_equal(put(&t.alice, id, 0, "ab")->offset, 2);
    char name[FILE_BLOB_NAME_SIZE];
    file_blob_name(name, id);
    must(blob_part_write(t.blob, name, 2, "c", 1));
    close_service();
    change("UPDATE file_files SET received = 3, state = ? WHERE id = ?", FILE__STATE__CHECKING, id);
    open_service();
    for (int i = 0; i < 200 && info(&t.alice, id)->state != FILE__STATE__READY; i++)
        usleep(10000);
    const File__FileInfo *file = info(&t.alice, id);
    assert_int_equal(file->state, FILE__STATE__READY);
    assert_string_equal(file->sha256,
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* A backup does not hold what was half uploaded: no file with a hole comes of that. */
static void test_lost_bytes(void **state UNUSED)
{
    char name[FILE_BLOB_NAME_SIZE];
    const char *id = begin(&t.alice, 6);
    assert_non_null(put(&t.alice, id, 0, "abc"));
    file_blob_name(name, id);
    must(blob_part_drop(t.blob, name));
    assert_null(put(&t.alice, id, 3, "def"));
    assert_int_equal(answer_status, 410);
    /* nor of one that was whole */
    id = begin(&t.alice, 6);
    assert_non_null(put(&t.alice, id, 0, "abc"));
    file_blob_name(name, id);
    must(blob_part_drop(t.blob, name));
    change("UPDATE file_files SET received = 6, state = ? WHERE id = ?", FILE__STATE__CHECKING, id);
    file_sweep(t.service);
    for (int i = 0; i < 200 && info(&t.alice, id)->state != FILE__STATE__REFUSED; i++)
        usleep(10000);
    assert_int_equal(info(&t.alice, id)->state, FILE__STATE__REFUSED);
    assert_non_null(strstr(info(&t.alice, id)->problem, "lost"));
}

static void test_unfinished_uploads_expire(void **state UNUSED)
{
    const char *old = begin(&t.alice, 100), *young = begin(&t.alice, 100);
    assert_non_null(put(&t.alice, old, 0, "abc"));
    assert_non_null(put(&t.alice, young, 0, "abc"));
    let_age(old, DAY_MS + 1000);
    let_age(young, DAY_MS - 60000);
    assert_null(put(&t.alice, old, 3, "d"));
    assert_int_equal(answer_status, 410);
    assert_int_equal(used(&t.alice), 200);
    file_sweep(t.service);
    assert_null(info(&t.alice, old));
    assert_int_equal(answer_err, ERR_NOT_FOUND);
    assert_false(has_bytes(old));
    assert_int_equal(used(&t.alice), 100);
    assert_int_equal(put(&t.alice, young, 3, "d")->offset, 4);
}

static void test_what_nobody_refers_to_goes(void **state UNUSED)
{
    const char *kept = upload(&t.alice, "kept"), *loose = upload(&t.alice, "loose");
    refer(kept, "message:1:1", false);
    refer(kept, "message:1:1", false); /* told twice */
    refer(kept, "message:1:2", false);
    let_age(loose, DAY_MS + 1000);
    file_sweep(t.service);
    assert_null(info(&t.alice, loose));
    assert_false(has_bytes(loose));
    refer(kept, "message:1:1", true);
    refer(kept, "message:1:1", true);
    assert_int_equal(file_remove(t.service, kept), ERR_FAILED_PRECONDITION);
    file_sweep(t.service);
    assert_non_null(info(&t.alice, kept));
    refer(kept, "message:1:2", true);
    file_sweep(t.service);
    assert_non_null(info(&t.alice, kept)); /* it has a day from now on */
    let_age(kept, DAY_MS + 1000);
    refer(kept, "nobody:told", true); /* of what was no reference */
    file_sweep(t.service);
    assert_null(info(&t.alice, kept));
    assert_int_equal(used(&t.alice), 0);
    refer(kept, "message:2:1", false); /* too late: there is nothing to refer to */
}

static void test_a_claim_keeps_it(void **state UNUSED)
{
    const char *id = upload(&t.alice, "hello");
    let_age(id, DAY_MS - 1000);
    const File__ClaimReply *reply = claim(NULL, t.alice.user_id, id);
    assert_non_null(reply);
    assert_int_equal(reply->files[0]->size, 5);
    let_age(id, 0);
    file_sweep(t.service);
    assert_non_null(info(&t.alice, id));
    assert_null(claim(NULL, t.bob.user_id, id));
    assert_int_equal(answer_err, ERR_NOT_FOUND);
    assert_null(claim(NULL, t.alice.user_id, begin(&t.alice, 5)));
    assert_int_equal(answer_err, ERR_FAILED_PRECONDITION);
}

static _Atomic int refused_writes; /* so many fail first */

enum err __real_store_write_essential_sync(struct store *store, unsigned shard, store_fn *fn,
                                           void *arg);
enum err __wrap_store_write_essential_sync(struct store *store, unsigned shard, store_fn *fn,
                                           void *arg);
enum err __wrap_store_write_essential_sync(struct store *store, unsigned shard, store_fn *fn,
                                           void *arg)
{
    if (refused_writes > 0) {
        refused_writes--;
        return ERR_RESOURCE_EXHAUSTED;
    }
    return __real_store_write_essential_sync(store, shard, fn, arg);
}

static void tell_of(const char *id, const char *ref)
{
    File__RefEvent e = FILE__REF_EVENT__INIT;
    uint8_t bytes[128];
    e.file_id = (char *)id;
    e.ref = (char *)ref;
    bus_publish(t.bus,
                &(struct bus_event){.channel = "file_refs",
                                    .type = "referred",
                                    .key = id,
                                    .payload = {(char *)bytes, file__ref_event__pack(&e, bytes)}});
}

static void test_deleting_what_is_just_being_sent(void **state UNUSED)
{
    const char *id = upload(&t.alice, "hello");
    File__DeleteFileRequest in = FILE__DELETE_FILE_REQUEST__INIT;
    assert_non_null(claim(NULL, t.alice.user_id, id));
    in.id = (char *)id;
    assert_null(ask("DeleteFile", &in, &t.alice));
    assert_int_equal(answer_err, ERR_FAILED_PRECONDITION);
    tell_of(id, "message:1:1");
    for (int i = 0; i < 200 && file_hold_has(t.service, id); i++)
        usleep(10000);
    assert_false(file_hold_has(t.service, id));
    assert_null(ask("DeleteFile", &in, &t.alice));
    refer(id, "message:1:1", true); /* recalled */
    assert_non_null(ask("DeleteFile", &in, &t.alice));
    assert_int_equal(used(&t.alice), 0);
    id = upload(&t.alice, "other");
    assert_null(claim(NULL, t.bob.user_id, id)); /* nobody's claim holds nothing */
    assert_false(file_hold_has(t.service, id));
}

static void test_a_reference_outlasts_a_full_disk(void **state UNUSED)
{
    const char *id = upload(&t.alice, "hello");
    refused_writes = 7;
    tell_of(id, "message:1:1");
    for (int i = 0; i < 4000 && !count("SELECT COUNT(*) FROM file_refs WHERE file_id = ?", id); i++)
        usleep(10000);
    assert_int_equal(count("SELECT COUNT(*) FROM file_refs WHERE file_id = ?", id), 1);
}

/* What is going goes, whoever refers to it meanwhile; it is given back once. */
static void test_going_is_going(void **state UNUSED)
{
    const char *id = upload(&t.alice, "hello"), *other = upload(&t.alice, "other");
    refer(id, "message:1:1", false);
    change("UPDATE file_files SET state = ?, idle_since_ms = 1 WHERE id = ?", FILE__STATE__DELETED,
           id); /* as an old crash may have left it, counted out: */
    change("UPDATE file_owners SET bytes = bytes - ? WHERE owner_id ="
           " (SELECT owner_id FROM file_files WHERE id = ?)",
           5, id);
    refer(id, "message:1:2", false);
    assert_int_equal(used(&t.alice), 5);
    file_sweep(t.service);
    assert_false(has_bytes(id));
    assert_int_equal(used(&t.alice), 5);
    assert_int_equal(count("SELECT COUNT(*) FROM file_refs WHERE file_id = ?", id), 0);
    assert_int_equal(count("SELECT COUNT(*) FROM file_files WHERE id = ?", id), 0);
    must(file_remove(t.service, other));
    assert_int_equal(file_remove(t.service, other), ERR_NOT_FOUND);
    assert_int_equal(used(&t.alice), 0);
}

static void test_who_may(void **state UNUSED)
{
    const char *id = upload(&t.alice, "hello");
    File__LocateRequest locate = FILE__LOCATE_REQUEST__INIT;
    locate.id = (char *)id;
    assert_non_null(ask("Locate", &locate, NULL));
    assert_null(ask("Locate", &locate, &t.alice));
    assert_int_equal(answer_err, ERR_PERMISSION_DENIED);
    assert_null(claim(&t.alice, t.alice.user_id, id));
    assert_int_equal(answer_err, ERR_PERMISSION_DENIED);
    assert_null(info(&t.bob, id));
    assert_int_equal(answer_err, ERR_NOT_FOUND);
    assert_null(begin(&t.guest, 5));
    assert_int_equal(answer_err, ERR_PERMISSION_DENIED);
    assert_null(put(&t.bob, begin(&t.alice, 5), 0, "hello"));
    assert_int_equal(answer_err, ERR_NOT_FOUND);
}

static void test_limits(void **state UNUSED)
{
    assert_null(begin(&t.alice, 1001));
    assert_int_equal(answer_status, 413);
    assert_non_null(begin(&t.alice, 1000));
    const char *second = begin(&t.alice, 1000);
    assert_null(begin(&t.alice, 1));
    assert_int_equal(answer_status, 413);
    must(file_remove(t.service, second));
    assert_non_null(begin(&t.alice, 1));
    assert_int_equal(used(&t.alice), 1001);
    for (int i = 2; i < FILE_UPLOADS_MAX; i++)
        assert_non_null(begin(&t.alice, 1));
    assert_null(begin(&t.alice, 1));
    assert_int_equal(answer_err, ERR_RESOURCE_EXHAUSTED);
    assert_non_null(begin(&t.bob, 1));
}

/* Something that writes is not removed under its hands. */
static void test_removal_waits(void **state UNUSED)
{
    const char *id = begin(&t.alice, 10);
    struct file_lock *lock = file_lock_enter(t.service->locks, id, "somebody");
    assert_int_equal(file_remove(t.service, id), ERR_UNAVAILABLE);
    assert_null(put(&t.alice, id, 0, "x"));
    assert_int_equal(answer_status, 423);
    file_lock_leave(t.service->locks, lock, FILE_LOCK_FREE);
    must(file_remove(t.service, id));
}

int main(void)
{
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG
                                     : LOG_OFF); /* tasks want a store, which this bus has not */
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_over_a_restart),
        T(test_unfinished_uploads_expire),
        T(test_what_nobody_refers_to_goes),
        T(test_a_claim_keeps_it),
        T(test_deleting_what_is_just_being_sent),
        T(test_a_reference_outlasts_a_full_disk),
        T(test_going_is_going),
        T(test_who_may),
        T(test_limits),
        T(test_removal_waits),
        T(test_lost_bytes),
    };
    return cmocka_run_group_tests_name("file life", tests, NULL, NULL);
}
