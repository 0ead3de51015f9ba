"""Somebody's messages for the pages: many conversations, and one of a great length.

The conversations are made by the API; the long one's messages are written straight into the tables while no server runs,
because its people would need minutes to say all that.
"""
import os
import random
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

from frame import Parlance

WORDS = "the quick brown fox jumps over a lazy dog while seven wizards pack boxes with liquor jugs 我们 今天 下午 开会".split()
USER, PASSWORD = "ada", "correct horse 7 battery"


def packed(text):
    """message.Content with nothing but text."""
    data = text.encode()
    size = bytes([len(data)]) if len(data) < 128 else bytes([len(data) & 127 | 128, len(data) >> 7])
    return b"\x12" + size + data


class Seed:
    """conversations, messages: how many. `long_id`: the conversation that has all the messages."""

    def __init__(self, directory, conversations, messages):
        with Parlance(directory) as server:
            token = server.register(USER)

            def make(number):
                group = server.request("POST", "/api/v1/groups", {"kind": "group", "title": f"Group {number:03}", "client_id": f"g{number}"}, token)
                server.request("POST", "/api/v1/messages", {
                    "conversation_id": group["id"], "client_msg_id": "k", "content": {"text": f"Said in group {number:03}"}}, token)
                return group["id"]
            with ThreadPoolExecutor(8) as pool:
                self.long_id = list(pool.map(make, range(conversations)))[0]
        db = sqlite3.connect(os.path.join(directory, "data/store/parlance.db"), isolation_level=None)
        db.execute("PRAGMA synchronous=OFF")
        self._lengthen(db, messages)
        db.close()

    def _lengthen(self, db, messages):
        chance = random.Random(1)
        now_ms = int(time.time() * 1000)
        num, seq, rev = db.execute("SELECT num, last_seq, rev FROM message_conversations WHERE id = ?", (self.long_id,)).fetchone()
        lsn = db.execute("SELECT MAX(head_lsn) FROM message_conversations").fetchone()[0]
        sender = db.execute("SELECT user_id FROM message_members WHERE conversation_num = ?", (num,)).fetchone()[0]
        others = ["01HF" + str(n).rjust(22, "0") for n in range(4)]
        db.execute("BEGIN")
        db.executemany(
            "INSERT INTO message_messages (lsn, conversation_num, seq, rev, id, sender_id, client_msg_id, kind, content, digest,"
            " content_digest, chain, reply_to_seq, thread_seq, forwarded, created_at_ms, edited_at_ms, recalled_at_ms, recalled_by,"
            " has_extras, is_pinned) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, x'', x'', x'', 0, 0, x'', ?, 0, 0, '', 0, 0)",
            ((lsn + i, num, seq + i, rev + i, f"01HFMS{i:020d}", chance.choice([sender, *others]), f"seed-{i}",
              packed(" ".join(chance.choices(WORDS, k=chance.choice([2, 5, 9, 14, 40])))), now_ms - (messages - i) * 60000)
             for i in range(1, messages + 1)))
        db.execute("UPDATE message_conversations SET last_seq = last_seq + ?, rev = rev + ?, head_lsn = ?, active_at_ms = ? WHERE num = ?",
                   (messages, messages, lsn + messages, now_ms, num))
        db.execute("UPDATE message_members SET read_seq = ? WHERE conversation_num = ?", (seq + messages, num))
        db.execute("COMMIT")
