/*
 * replay_main: runs a fuzz target over every file of a corpus directory, without libFuzzer, so the
 * corpus is a regression test under any compiler and sanitizer. Beside each whole file it also
 * tries a number of its beginnings: a parser that trusts a length shows itself there. Each input
 * lies in memory of exactly its size, so that AddressSanitizer sees the first byte too far.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGINNINGS 64 /* cuts tried per file */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_exactly(const uint8_t *bytes, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    if (n)
        memcpy(copy, bytes, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static uint8_t *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    uint8_t *bytes = NULL;
    long size;
    if (!f || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0) {
        perror(path);
        exit(1);
    }
    rewind(f);
    bytes = malloc((size_t)size + 1);
    if (!bytes || fread(bytes, 1, (size_t)size, f) != (size_t)size) {
        perror(path);
        exit(1);
    }
    fclose(f);
    *n = (size_t)size;
    return bytes;
}

static void replay(const char *path)
{
    size_t n, step;
    uint8_t *bytes = read_file(path, &n);
    fprintf(stderr, "%s\n", path); /* the last line before a crash names the culprit */
    run_exactly(bytes, n);
    step = n / BEGINNINGS + 1;
    for (size_t cut = 0; cut < n; cut += step)
        run_exactly(bytes, cut);
    free(bytes);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS_DIRECTORY\n", argv[0]);
        return 2;
    }
    int count = scandir(argv[1], &entries, is_visible, alphasort);
    if (count <= 0) {
        fprintf(stderr, "%s: no corpus there\n", argv[1]);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", argv[1], entries[i]->d_name);
        free(entries[i]);
        replay(path);
    }
    free(entries);
    printf("replayed %d files\n", count);
    return 0;
}
