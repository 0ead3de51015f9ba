/*
 * user_fields: what may stand in a profile, one function a field. Each returns the value in its
 * canonical form (trimmed, lower case where case means nothing) in the call's arena, or NULL after
 * saying what was expected.
 */
#include "core/id.h"
#include "services/common/text.h"
#include "services/common/zone.h"
#include "services/user/user_internal.h"

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_lower(c) || is_upper(c) || is_digit(c);
}

char *user_take_username(struct rpc_call *call, const char *value)
{
    char *name = text_take(call, value, &(struct text_rule){"username", 3, 32, 0});
    if (!name)
        return NULL;
    for (char *p = name; *p; p++) {
        if (is_upper(*p))
            *p = (char)(*p - 'A' + 'a');
        if (!is_lower(*p) && !is_digit(*p) && *p != '.' && *p != '_' && *p != '-') {
            rpc_fail(call, ERR_INVALID_ARGUMENT,
                     "username: expected 3 to 32 of the letters a to z, digits, '.', '_' and '-'");
            return NULL;
        }
    }
    /* People sign in by id or by name: a name must not look like an id. */
    if (strlen(name) == ID_SIZE - 1 && id_is_valid(name)) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "username: has the form of an id, choose another");
        return NULL;
    }
    return name;
}

char *user_take_nickname(struct rpc_call *call, const char *value)
{
    return text_take(call, value, &(struct text_rule){"nickname", 1, 64, 0});
}

char *user_take_description(struct rpc_call *call, const char *value)
{
    return text_take(call, value, &(struct text_rule){"description", 0, 1000, TEXT_LINES});
}

char *user_take_password(struct rpc_call *call, const char *value)
{
    return text_take(call, value, &(struct text_rule){"password", 8, 128, TEXT_EXACT});
}

/* One '@'; before it what needs no quoting; after it labels of letters, digits and hyphens. Letters
 * beyond ASCII are left alone on both sides (RFC 6531). */
static bool is_email(const char *text)
{
    const char *at = strchr(text, '@');
    if (!at || at == text || at - text > 64 || strchr(at + 1, '@'))
        return false;
    if (text[0] == '.' || at[-1] == '.' || strstr(text, ".."))
        return false;
    for (const char *p = text; p < at; p++)
        if (!is_alnum(*p) && !strchr(".!#$%&'*+/=?^_`{|}~-", *p) && !((uint8_t)*p & 0x80))
            return false;
    const char *label = at + 1;
    for (const char *p = label;; p++) {
        if (*p == '.' || !*p) {
            if (p == label || p - label > 63 || *label == '-' || p[-1] == '-')
                return false;
            label = p + 1;
            if (!*p)
                return true;
        } else if (!is_alnum(*p) && *p != '-' && !((uint8_t)*p & 0x80)) {
            return false;
        }
    }
}

char *user_take_email(struct rpc_call *call, const char *value)
{
    char *email = text_take(call, value, &(struct text_rule){"email", 0, 254, 0});
    if (email && email[0] && (!is_email(email) || strlen(email) > 254)) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "email: expected an address like name@example.org");
        return NULL;
    }
    return email;
}

char *user_take_phone(struct rpc_call *call, const char *value)
{
    char *phone = text_take(call, value, &(struct text_rule){"phone", 0, 32, 0});
    if (!phone || !phone[0])
        return phone;
    char *to = phone;
    for (const char *p = phone; *p; p++)
        if (!strchr(" -()./", *p))
            *to++ = *p;
    *to = 0;
    size_t n = strlen(phone);
    bool is_valid = phone[0] == '+' && n >= 8 && n <= 16 && phone[1] != '0'; /* E.164 */
    for (size_t i = 1; i < n; i++)
        is_valid &= is_digit(phone[i]);
    if (is_valid)
        return phone;
    rpc_fail(call, ERR_INVALID_ARGUMENT,
             "phone: expected an international number like +491701234567");
    return NULL;
}

/* BCP 47 in its usual form: language, then script, region and variants; cased as is the custom. */
static bool normalise_locale(char *tag)
{
    struct str rest = str_from(tag), part;
    for (bool is_first = true, is_more = true; is_more; is_first = false) {
        is_more = str_cut(&rest, '-', &part);
        char *p = (char *)part.p;
        if (part.n < (is_first ? 2u : 1u) || part.n > 8)
            return false;
        for (size_t i = 0; i < part.n; i++) {
            if (!is_alnum(p[i]) || (is_first && is_digit(p[i])))
                return false;
            if (is_upper(p[i]))
                p[i] = (char)(p[i] - 'A' + 'a');
        }
        bool is_region = !is_first && part.n == 2;
        bool is_script = !is_first && part.n == 4 && !is_digit(p[0]);
        for (size_t i = 0; i < part.n && (is_region || (is_script && i == 0)); i++)
            if (is_lower(p[i]))
                p[i] = (char)(p[i] - 'a' + 'A');
    }
    return true;
}

char *user_take_locale(struct rpc_call *call, const char *value)
{
    char *tag = text_take(call, value, &(struct text_rule){"locale", 0, 35, 0});
    if (tag && !tag[0])
        return arena_strdup(call->arena, "en");
    if (tag && !normalise_locale(tag)) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "locale: expected a language tag like en or zh-CN");
        return NULL;
    }
    return tag;
}

char *user_take_time_zone(struct rpc_call *call, const char *value, const char *zoneinfo_dir)
{
    return zone_take(call, value, zoneinfo_dir);
}
