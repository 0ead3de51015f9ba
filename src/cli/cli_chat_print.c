/* Messages and conversations for people, a line each; for programs everything is printed as it
 * came (chat_print_json). What strangers wrote must not steer the terminal. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli_chat.h"

const char *chat_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* Whole numbers beyond 2^53 come as text. */
int64_t chat_number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    int64_t number = 0;
    if (json_is_string(value) && str_to_i64(str_from(json_string_value(value)), &number))
        return number;
    return json_integer_value(value);
}

void chat_print_json(const char *what, json_t *value)
{
    json_t *line = json_object();
    json_object_set(line, what, value);
    json_dumpf(line, stdout, JSON_COMPACT);
    json_decref(line);
    putchar('\n');
    fflush(stdout);
}

/* Lines after the first stand under it; other control characters, C1 too, become dots. */
static void print_clean(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '\n')
            fputs("\n    ", stdout);
        else if (*c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f)
            c++, putchar('.');
        else
            putchar(*c < 0x20 || *c == 0x7f ? '.' : *c);
    }
}

static void print_time(int64_t at_ms)
{
    char text[32];
    time_t at = at_ms / 1000;
    struct tm tm;
    localtime_r(&at, &tm);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &tm);
    fputs(text, stdout);
}

static void print_content(json_t *message)
{
    const json_t *content = json_object_get(message, "content");
    const char *kind = chat_text(content, "kind");
    if (chat_number(message, "recalled_at_ms"))
        fputs("(recalled)", stdout);
    else if (*chat_text(content, "text"))
        print_clean(chat_text(content, "text"));
    else
        printf("(%s)", *kind ? kind : "empty");
    if (chat_number(message, "edited_at_ms") && !chat_number(message, "recalled_at_ms"))
        fputs(" (edited)", stdout);
}

void chat_print_message(json_t *message)
{
    const char *sender = chat_text(message, "sender_id");
    printf("%6lld  ", (long long)chat_number(message, "seq"));
    print_time(chat_number(message, "created_at_ms"));
    printf("  %s: ", *sender ? sender : "-");
    if (chat_number(message, "reply_to_seq"))
        printf("(to %lld) ", (long long)chat_number(message, "reply_to_seq"));
    print_content(message);
    putchar('\n');
    fflush(stdout);
}

void chat_print_change(json_t *change)
{
    const char *type = chat_text(change, "type");
    json_t *message = json_object_get(change, "message");
    if (strcmp(type, "message") == 0 && message) {
        chat_print_message(message);
        return;
    }
    printf("        (%s", type);
    if (message)
        printf(" %lld", (long long)chat_number(message, "seq"));
    if (json_object_get(change, "member"))
        printf(" %s %s", chat_text(json_object_get(change, "member"), "user_id"),
               chat_text(json_object_get(change, "member"), "state"));
    fputs(") ", stdout);
    if (strcmp(type, "edited") == 0)
        print_content(message);
    putchar('\n');
    fflush(stdout);
}

void chat_print_conversation(json_t *conversation)
{
    const char *title = chat_text(conversation, "title");
    const json_t *own = json_object_get(conversation, "own");
    printf("%s  %-8s %4lld unread  ", chat_text(conversation, "id"),
           chat_text(conversation, "kind"), (long long)chat_number(own, "unread_count"));
    print_clean(*title ? title : chat_text(conversation, "peer_id"));
    putchar('\n');
}
