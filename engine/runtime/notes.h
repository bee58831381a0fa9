/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file notes.h
 * The kinds of lines in the log. A kind has a level, a word, and an id that stays the same for
 * ever: log readers filter by them, and each kind has a share of the log of its own, so that many
 * lines of one never hide another.
 */
#ifndef ENGINE_RUNTIME_NOTES_H
#define ENGINE_RUNTIME_NOTES_H

#include "decree/node.h"

/* X(identifier, level, word, message id, what it means). The table in docs/operating.md has the
 * same rows. */
#define NOTE_TABLE(X)                                                                              \
	X(STARTS, NOTICE, "starts", "598771bdb07522c89de4f3848a90ebb1",                            \
		"What the node runs with.")                                                        \
	X(MODE, WARNING, "mode", "9bf42e62e9a471484c9d6d62a166136b",                               \
		"A setting that gives up safety: the log in memory, no authentication.")           \
	X(KEYS, NOTICE, "keys", "c964db7e8eb5d07d01a2eb5188b4f6e6", "Two keys are valid.")         \
	X(NETWORK, NOTICE, "network", "40a4c0167fbb78253030381fd9b2616c", "How DPDK was started.") \
	X(METRICS, NOTICE, "metrics", "5da1015ad7137d0d28d3302306057fa2",                          \
		"Where the metrics and the telemetry are.")                                        \
	X(PROGRESS, INFO, "progress", "507060dc68923d5254d5833a5fe6eb37",                          \
		"How far a long start is.")                                                        \
	X(DISK, INFO, "disk", "547bf31af68cbcaaa2faa8691a84e24a", "What the log's disk is.")       \
	X(LEADER, NOTICE, "leader", "1207c7d032275aa5ff15092f5140d50d",                            \
		"Another node leads a group, or another ballot.")                                  \
	X(NO_LEADER, NOTICE, "no_leader", "5b27c4ecd6cc23436ed31b48e75e62f1",                      \
		"Nobody leads, as far as this node knows.")                                        \
	X(REFUSED, ERROR, "refused", "15500331ba816180e62b7b6286641b8e",                           \
		"The others refuse this node, for what it forgot or for a twin.")                  \
	X(DROPS, WARNING, "drops", "c6b7e14393333f94b8c260ef87f65530",                             \
		"Frames that a healthy cluster never sees.")                                       \
	X(NARROW, WARNING, "narrow", "3919cc1012c14333ba7eb2f84ca7898e",                           \
		"Full frames do not reach a node.")                                                \
	X(VERSION, NOTICE, "version", "2602e4a7c1dc9f24aadc9241c4cc740b",                          \
		"The cluster was raised to another version.")                                      \
	X(VERSION_REFUSED, WARNING, "version_refused", "8cd5bd272254affeb760f593a4a67069",         \
		"A node speaks no version that this one does.")                                    \
	X(SESSIONS, WARNING, "sessions", "b310c9b4f55d43df3237d4bc73a78905",                       \
		"The table of sessions is full.")                                                  \
	X(STOLEN, ERROR, "stolen", "abcca4452770cc1061a7529b7e8a39ab",                             \
		"Somebody uses a session of this node.")                                           \
	X(STALL, WARNING, "stall", "d3814d790e34296e8ff5f86d48422af3",                             \
		"The log's disk does not answer.")                                                 \
	X(STALL_OVER, NOTICE, "stall_over", "0c1266cc24a24a7031d32cb78bc02092",                    \
		"It answers again.")                                                               \
	X(LOG_FULL, WARNING, "log_full", "e2e7d1c244c8c2e7fca8a4eec4dd3bb3",                       \
		"The log takes no more commands.")                                                 \
	X(LOG_ROOM, NOTICE, "log_room", "cd260288ebb6d1ddbf6a7c20eb216265", "It has room again.")  \
	X(LOG_DAMAGED, WARNING, "log_damaged", "5495daef05153ccb7e51a23444acba99",                 \
		"Records of the log are damaged.")                                                 \
	X(LOG_REPAIRED, NOTICE, "log_repaired", "0555d808912be6358d3769f2a4df5931",                \
		"They are whole again.")                                                           \
	X(LOG_UNREADABLE, ERROR, "log_unreadable", "ead8e015112db7198eb2f214e7549d73",             \
		"A slot that is needed cannot be read back.")                                      \
	X(SNAPSHOT, INFO, "snapshot", "08c990c5a562bac56c29ba49a2dc0a70",                          \
		"A snapshot was written.")                                                         \
	X(SNAPSHOT_FAILED, ERROR, "snapshot_failed", "b71833ce5a605f4eef2d1681b8913574",           \
		"A snapshot was not written, or was refused.")                                     \
	X(SNAPSHOT_DAMAGED, WARNING, "snapshot_damaged", "4b86e4cc894cc1986818920fb20f5138",       \
		"The snapshot's file has rotten.")                                                 \
	X(SNAPSHOT_FETCH, NOTICE, "snapshot_fetch", "e1d0c6b153277640bd0327b746fbf249",            \
		"A snapshot comes from another node.")                                             \
	X(SNAPSHOT_FOREIGN, WARNING, "snapshot_foreign", "aa89a2ee5dce568242582e62186106f5",       \
		"Files among the snapshots that are none.")                                        \
	X(SPACE_LOW, WARNING, "space_low", "0f169ea94268ef2cef24e3bed48748f4",                     \
		"There is no space for snapshots.")                                                \
	X(SPACE, NOTICE, "space", "1a9be6c0a9e912e05d736ea72dbc206f", "There is space again.")     \
	X(CAPTURE, NOTICE, "capture", "8024c6ee7c4e592a53e6c1cf24987cea",                          \
		"A capture of the node's frames begins or ends.")                                  \
	X(CAPTURE_FAILED, WARNING, "capture_failed", "2e668c878ed2dfa53bcba2ee1a15b3f0",           \
		"It ended before it was complete.")                                                \
	X(FAILED, ERROR, "failed", "d9ce56566eb2f161e95956c7b06f80b9",                             \
		"The node stops by itself.")                                                       \
	X(LEFT_OUT, WARNING, "left_out", "9b6096097a944db4539526aba710bb5f",                       \
		"How many lines of one kind were too many.")

enum note {
#define X(identifier, level, word, message_id, help) NOTE_##identifier,
	NOTE_TABLE(X)
#undef X
	NOTE_COUNT
};

/** @return the level, word and id of that kind; without group and text */
struct decree_log_line note_line(enum note note);

#endif
