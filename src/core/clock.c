/*
 * clock: the two clocks, and RFC 3339 text. The calendar is computed by days from 1970-03-01
 * onwards in 400-year eras (the proleptic Gregorian calendar), so neither the C library's locale
 * nor its time zone can get in the way.
 */
#include "core/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MS_PER_DAY INT64_C(86400000)
/* 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z: what RFC 3339 can write. */
#define WALL_MS_MIN INT64_C(-62167219200000)
#define WALL_MS_MAX INT64_C(253402300799999)

int64_t clock_mono_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Days since 1970-01-01. The year is taken to begin in March, so that leap days come last. */
static int64_t days_from_date(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_from_days(int64_t days, int *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097; /* day of era */
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t m = (5 * doy + 2) / 153;
    *day = (int)(doy - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

void clock_format(int64_t wall_ms, char out[CLOCK_TEXT_SIZE])
{
    int year, month, day;
    wall_ms = CLAMP(wall_ms, WALL_MS_MIN, WALL_MS_MAX);
    int64_t days = (wall_ms >= 0 ? wall_ms : wall_ms - (MS_PER_DAY - 1)) / MS_PER_DAY;
    int ms = (int)(wall_ms - days * MS_PER_DAY);
    date_from_days(days, &year, &month, &day);
    snprintf(out, CLOCK_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)year % 10000,
             (unsigned)month % 100, (unsigned)day % 100, (unsigned)(ms / 3600000) % 100,
             (unsigned)(ms / 60000 % 60), (unsigned)(ms / 1000 % 60), (unsigned)(ms % 1000));
}

/* `count` digits at **p as a number, moving *p on; -1 when they are not digits. */
static int take_digits(const char **p, int count)
{
    int v = 0;
    for (int i = 0; i < count; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return -1;
        v = v * 10 + (**p - '0');
    }
    return v;
}

static bool take_char(const char **p, char c)
{
    if (**p != c && !(c >= 'A' && **p == (c | 0x20)))
        return false;
    (*p)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && is_leap ? 29 : days[month - 1];
}

/* ".123456" -> 123 ms; further digits are cut off. -1: a point without digits. */
static int take_fraction_ms(const char **p)
{
    int ms = 0, weight = 100;
    if (**p != '.')
        return 0;
    (*p)++;
    if (**p < '0' || **p > '9')
        return -1;
    for (; **p >= '0' && **p <= '9'; (*p)++, weight /= 10)
        ms += (**p - '0') * weight;
    return ms;
}

/* "Z" or "+hh:mm": minutes east of UTC. */
static bool take_offset(const char **p, int *minutes)
{
    *minutes = 0;
    if (take_char(p, 'Z'))
        return true;
    int sign = **p == '+' ? 1 : **p == '-' ? -1 : 0;
    if (sign == 0)
        return false;
    (*p)++;
    int hour = take_digits(p, 2);
    if (hour < 0 || hour > 23 || !take_char(p, ':'))
        return false;
    int minute = take_digits(p, 2);
    if (minute < 0 || minute > 59)
        return false;
    *minutes = sign * (hour * 60 + minute);
    return true;
}

static bool take_date(const char **p, int64_t *days)
{
    int year = take_digits(p, 4);
    if (year < 0 || !take_char(p, '-'))
        return false;
    int month = take_digits(p, 2);
    if (month < 1 || month > 12 || !take_char(p, '-'))
        return false;
    int day = take_digits(p, 2);
    if (day < 1 || day > days_in_month(year, month))
        return false;
    *days = days_from_date(year, month, day);
    return true;
}

bool clock_parse(const char *text, int64_t *wall_ms)
{
    const char *p = text;
    int64_t days;
    int offset_minutes;
    if (!take_date(&p, &days) || !take_char(&p, 'T'))
        return false;
    int hour = take_digits(&p, 2);
    if (hour < 0 || hour > 23 || !take_char(&p, ':'))
        return false;
    int minute = take_digits(&p, 2);
    if (minute < 0 || minute > 59 || !take_char(&p, ':'))
        return false;
    int second = take_digits(&p, 2);
    if (second < 0 || second > 60)
        return false;
    int ms = take_fraction_ms(&p);
    if (ms < 0 || !take_offset(&p, &offset_minutes) || *p)
        return false;
    int64_t minutes = days * 1440 + hour * 60 + minute - offset_minutes;
    /* A leap second (RFC 3339 section 5.7) ends a UTC day; it becomes the next day's first. */
    if (second == 60 && ((minutes % 1440) + 1440) % 1440 != 1439)
        return false;
    int64_t at = minutes * 60000 + second * 1000 + ms;
    if (at < WALL_MS_MIN || at > WALL_MS_MAX)
        return false;
    *wall_ms = at;
    return true;
}
