"""The shapes in which the end-to-end scenarios run, beside the plain one (tests/flow/deployment.mjs makes them).

engines is one process over real servers; split is nine processes, found by etcd.
"""

# name: servers, environment
SHAPES = {
    "engines": ("postgres,redis,kafka", {
        "PARLANCE_TEST_SHAPE": "engines", "PARLANCE_TEST_STORE": "postgres", "PARLANCE_TEST_BUS": "kafka",
        "PARLANCE_TEST_QUEUE": "kafka"}),
    "split": ("postgres,redis,etcd", {
        "PARLANCE_TEST_SHAPE": "split", "PARLANCE_TEST_STORE": "postgres", "PARLANCE_TEST_BUS": "redis",
        "PARLANCE_TEST_QUEUE": "redis"}),
    "split-mariadb-rabbitmq": ("mysql,redis,rabbitmq,etcd", {
        "PARLANCE_TEST_SHAPE": "split", "PARLANCE_TEST_STORE": "mysql", "PARLANCE_TEST_BUS": "rabbitmq",
        "PARLANCE_TEST_QUEUE": "rabbitmq"}),
    "split-kafka": ("postgres,redis,kafka,etcd", {
        "PARLANCE_TEST_SHAPE": "split", "PARLANCE_TEST_STORE": "postgres", "PARLANCE_TEST_BUS": "kafka",
        "PARLANCE_TEST_QUEUE": "kafka"}),
    "mariadb": ("mysql", {"PARLANCE_TEST_STORE": "mysql"}),
    "postgres": ("postgres", {"PARLANCE_TEST_STORE": "postgres"}),
}
DEFAULT = ("engines", "split", "split-mariadb-rabbitmq")

# What of them make test runs; all of it: make test-shapes.
SELECTION = (
    ("split", ("accounts", "groups", "meetings", "unattended", "chat")),
    ("engines", ("apart", "chat")),
    ("split-mariadb-rabbitmq", ("bots",)),
)
