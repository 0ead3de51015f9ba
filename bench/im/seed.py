"""A data directory with people, conversations and a history in it, written straight into the tables.

Registering thousands of people by the API would take the password hash's time for each, and a million messages would take the
server's. What the server itself makes (schema, keys) it makes in a first short life; tokens are signed here with a secret that
the benchmark chose.

Everybody is in 50 groups of 20; the first PEOPLE are all in one group; the first SENDERS write to each other, by twos.
"""
import base64
import hashlib
import hmac
import json
import math
import os
import sqlite3
import time

from frame import Parlance

SECRET = "a secret of the benchmark, of which nothing depends"
OPTIONS = {"jwt.secret": SECRET}
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
GROUPS_EACH, GROUP_SIZE = 50, 20
WORDS = "the quick brown fox jumps over a lazy dog while seven wizards pack boxes with liquor jugs".split()


def make_id(kind, number):
    """An id as the server's look: 26 characters of its alphabet. kind: two of them."""
    text = ""
    for _ in range(10):
        number, digit = divmod(number, 32)
        text = ALPHABET[digit] + text
    return "01HF" + kind.upper().ljust(12, "0") + text


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Seed:
    """people, senders, messages: how many. The directory is the caller's, and may serve several lives of a server."""

    def __init__(self, directory, people, senders, messages):
        self.directory, self.people, self.senders, self.messages = directory, people, senders, messages
        with Parlance(directory, OPTIONS) as server:
            header = server.register("ada").split(".")[0]
        self.header = header
        self.now_ms = int(time.time() * 1000)
        self.db = sqlite3.connect(os.path.join(directory, "data/store/parlance.db"), isolation_level=None)
        self.db.execute("PRAGMA synchronous=OFF")
        self.db.execute("PRAGMA cache_size=-200000")
        self.db.execute("BEGIN")
        self._accounts()
        self.group = self._groups()
        self.pairs = self._pairs()
        if messages:
            self._messages()
        self.db.execute("COMMIT")
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.close()
        os.sync()  # or the measurements that follow would wait for it

    def server(self):
        return Parlance(self.directory, OPTIONS)

    def user(self, number):
        return make_id("pe", number)

    def token(self, number):
        """An access token of one of them, as the server signs it."""
        claims = {"iss": "parlance", "aud": "parlance", "sub": self.user(number), "sid": make_id("se", number),
                  "jti": f"{number:043d}", "iat": self.now_ms // 1000, "nbf": self.now_ms // 1000,
                  "exp": self.now_ms // 1000 + 86000, "role": "user"}
        body = self.header + "." + base64url(json.dumps(claims, separators=(",", ":")).encode())
        return body + "." + base64url(hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).digest())

    def insert(self, table, rows):
        """Rows are dicts with the same keys."""
        rows = iter(rows)
        first = next(rows)
        names = list(first)
        sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        self.db.execute(sql, list(first.values()))
        self.db.executemany(sql, (list(row.values()) for row in rows))

    def _accounts(self):
        self.insert("user_accounts", ({
            "id": self.user(n), "username": f"person{n}", "nickname": f"Person {n}", "nickname_key": f"person {n}", "email": "",
            "email_key": None, "phone": "", "avatar_version": "", "avatar_type": "", "description": "", "locale": "",
            "time_zone": "", "role": 2, "is_disabled": 0, "password_hash": "x", "password_changed_at_ms": 0,
            "created_at_ms": self.now_ms, "updated_at_ms": self.now_ms} for n in range(self.people)))
        self.insert("auth_sessions", ({
            "id": make_id("se", n), "user_id": self.user(n), "is_guest": 0, "meeting_id": "", "name": "", "device": "bench",
            "user_agent": "bench", "remote_addr": "127.0.0.1", "created_at_ms": self.now_ms, "last_seen_at_ms": self.now_ms,
            "expires_at_ms": self.now_ms + 86400000 * 30, "password_changed_at_ms": self.now_ms, "revoked_at_ms": 0}
            for n in range(self.people)))

    def _conversations(self, kind, items):
        """items: (id, natural key, members). Their numbers."""
        first = self.db.execute("SELECT COALESCE(MAX(num), 0) + 1 FROM message_conversations").fetchone()[0]
        self.insert("message_conversations", ({
            "num": first + i, "id": id_, "natural_key": key, "kind": kind, "title": "A group" if kind else "", "avatar_url": "",
            "announcement": "", "owner_id": "", "meeting_id": "", "join_rule": 0, "is_muted": 0, "is_dissolved": 0,
            "retention_days": 0, "member_count": len(members), "first_seq": 1, "last_seq": 0, "rev": 0, "head_lsn": 0,
            "chain": bytes(16), "created_at_ms": self.now_ms, "active_at_ms": self.now_ms}
            for i, (id_, key, members) in enumerate(items)))
        self.insert("message_members", ({
            "conversation_num": first + i, "user_id": self.user(n), "role": 0, "state": 0, "nickname": "",
            "joined_at_ms": self.now_ms, "muted_until_ms": 0, "visible_from_seq": 0, "visible_to_seq": 0, "visible_to_rev": 0,
            "read_seq": 0, "delivered_seq": 0, "is_marked_unread": 0, "quiet_until_ms": 0, "is_pinned": 0, "archived_seq": 0,
            "draft": "", "draft_at_ms": 0, "own_lsn": 0} for i, (_, _, members) in enumerate(items) for n in members))
        return first

    def _groups(self):
        """Groups of neighbours, other neighbours each time; and the one of all."""
        items = []
        size = min(GROUP_SIZE, self.people)
        steps = [n for n in range(1, 100 * GROUPS_EACH) if math.gcd(n, self.people) == 1][:GROUPS_EACH]
        for step in steps:
            for g in range(self.people // size):
                id_ = make_id("gr", len(items))
                items.append((id_, id_, {(g * size + i) * step % self.people for i in range(size)}))
        self._conversations(1, items)
        everyone, some = make_id("ga", 0), make_id("ga", 1)
        self._conversations(1, [(everyone, everyone, range(self.people)),
                                (some, some, range(min(100, self.people)))])
        self.small_group = some
        return everyone

    def _pairs(self):
        """The conversation of each sender with its neighbour."""
        items = [(make_id("dr", n), f"d:{self.user(n)}:{self.user(n + 1)}", (n, n + 1)) for n in range(0, self.senders, 2)]
        self.first_pair = self._conversations(0, items)
        return [items[n // 2][0] for n in range(self.senders)]

    def _messages(self):
        """As many in each pair; sent by both in turn; the last ones the newest."""
        pairs = self.senders // 2
        each = max(1, self.messages // pairs)
        total = each * pairs
        self.db.execute(f"""
            WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {total})
            INSERT INTO message_messages (lsn, conversation_num, seq, rev, id, sender_id, client_msg_id, kind, content, digest,
              content_digest, chain, reply_to_seq, thread_seq, forwarded, created_at_ms, edited_at_ms, recalled_at_ms,
              recalled_by, has_extras, is_pinned)
            SELECT i + 1, c.num, 1 + i / {pairs}, 1 + i / {pairs}, printf('01HFMS%020d', i),
              substr(c.natural_key, CASE i / {pairs} % 2 WHEN 0 THEN 3 ELSE 30 END, 26), printf('seed-%d', i), 0,
              x'1264' || CAST(substr(replace(hex(randomblob(60)), 'A', ' '), 1, 100) AS BLOB), randomblob(16), randomblob(16),
              randomblob(16), 0, 0, x'', {self.now_ms} - ({total} - i), 0, 0, '', 0, 0
            FROM n JOIN message_conversations c ON c.num = {self.first_pair} + i % {pairs}""")
        self.db.execute(f"""
            UPDATE message_conversations SET last_seq = {each}, rev = {each},
              head_lsn = {total - pairs} + num - {self.first_pair} + 1
            WHERE num >= {self.first_pair} AND num < {self.first_pair + pairs}""")
        self._index(total, pairs)
        self.db.execute("INSERT OR REPLACE INTO message_indexed (shard, lsn) VALUES (0, ?)", (total,))

    def _index(self, total, pairs):
        """The terms of each message, as the server's index holds them: in as many pieces as it would have."""
        people = [self.user(n) for n in range(self.senders)]
        self.db.executemany(
            "INSERT INTO message_terms (rowid, t, c, s, k) VALUES (?, ?, ?, ?, 'k0')",
            ((i + 1, " ".join(WORDS[(i * 7 + k * (1 + i % 5)) % len(WORDS)] for k in range(16)),
              self.first_pair + i % pairs, people[2 * (i % pairs) + i // pairs % 2]) for i in range(total)))
