-- SPDX-License-Identifier: Apache-2.0
-- decree in Wireshark and tshark: frames, ballots, slots, commands, as docs/wire-format.md has them.
--
--   wireshark -X lua_script:decree.lua capture.pcapng       or put this file into Wireshark's folder of personal plugins
--   tshark -X lua_script:decree.lua -r capture.pcapng -Y 'decree.type == 5 && decree.slot >= 100'
--
-- Frames are found on any UDP port by their first bytes. In Preferences, Protocols, DECREE ports may be named: then all that
-- goes there is taken for decree's, and what is not is marked.
--
-- Nothing here throws: a reader that runs out of bytes ends the frame with an expert info, which says whether the sender or the
-- capture cut it.
--
-- The tables between "@enum NAME" and the next closing brace are held against the enums of the engine by tests/wireshark/tables.py.

local decree = Proto("decree", "decree, Multi-Paxos")

-- ------------------------------------------------------------------------------------------- numbers and their names

local frame_kinds = { -- @enum frame_kind FRAME_
	[1] = "Data",
	[2] = "Hello",
}

local message_types = { -- @enum eng_msg_type ENG_MSG_
	[1] = "PreVote",
	[2] = "PreVoteReply",
	[3] = "Prepare",
	[4] = "Promise",
	[5] = "Accept",
	[6] = "Accepted",
	[7] = "Success",
	[8] = "Failure",
	[9] = "LeaderChange",
	[10] = "Heartbeat",
	[11] = "HeartbeatEcho",
	[12] = "Query",
	[13] = "QueryReply",
	[14] = "ReadIndex",
	[15] = "ReadIndexReply",
	[16] = "SnapshotOffer",
	[17] = "SnapshotFetch",
	[18] = "SnapshotChunk",
	[19] = "StateDigest",
	[20] = "Hello",
	[21] = "HelloReply",
}

local BUNDLE = 22 -- BUNDLE_TYPE

local client_types = { -- @enum client_msg_type CLIENT_MSG_
	[64] = "Commands",
	[65] = "CommandFragment",
	[66] = "Replies",
	[67] = "Redirect",
	[68] = "StatusRequest",
	[69] = "StatusReply",
	[70] = "LogRequest",
	[71] = "LogReply",
	[72] = "AdminRequest",
	[73] = "AdminReply",
	[74] = "ReadRequest",
	[75] = "ReadReply",
	[76] = "MetricsRequest",
	[77] = "MetricsReply",
}

local failure_reasons = { -- @enum eng_failure_reason ENG_FAIL_
	[1] = "Ballot",
	[2] = "LeaderAlive",
	[3] = "NotMember",
	[4] = "Busy",
	[5] = "Compacted",
	[6] = "Lease",
	[7] = "RolledBack",
	[8] = "Twin",
}

local entry_states = { -- @enum eng_entry_state ENG_ENTRY_
	[0] = "None",
	[1] = "Accepted",
	[2] = "Decided",
	[3] = "FaultyId",
	[4] = "FaultyUnknown",
}

local value_kinds = { -- @enum eng_value_kind ENG_VALUE_
	[1] = "Noop",
	[2] = "Batch",
	[3] = "Fragment",
	[4] = "Config",
	[5] = "Mark",
}

local reply_kinds = { -- @enum client_reply_kind CLIENT_REPLY_
	[1] = "Applied",
	[2] = "Registered",
	[3] = "TableFull",
	[4] = "Gap",
	[5] = "Stale",
	[6] = "NoSession",
	[7] = "Mismatch",
	[8] = "TooLarge",
	[9] = "Evicted",
}

local redirect_reasons = { -- @enum client_redirect_reason CLIENT_REDIRECT_
	[1] = "NotLeader",
	[2] = "Busy",
	[3] = "NotReady",
	[4] = "LogFull",
}

local admin_ops = { -- @enum decree_admin_op DECREE_ADMIN_
	[1] = "Transfer",
	[2] = "Snapshot",
	[3] = "MemberAdd",
	[4] = "MemberRemove",
	[5] = "MemberReplace",
	[6] = "MemberList",
	[7] = "Capture",
	[8] = "CaptureStop",
	[9] = "Raise",
}

local admin_statuses = { -- @enum client_admin_status CLIENT_ADMIN_
	[1] = "Done",
	[2] = "Pending",
	[3] = "NotLeader",
	[4] = "Busy",
	[5] = "Refused",
	[6] = "Failed",
	[7] = "Off",
	[8] = "Unknown",
}

local read_statuses = { -- @enum client_read_status CLIENT_READ_
	[1] = "Answered",
	[2] = "Failed",
	[3] = "Busy",
	[4] = "NotSupported",
}

local all_types = { [BUNDLE] = "Bundle" }
for number, name in pairs(message_types) do all_types[number] = name end
for number, name in pairs(client_types) do all_types[number] = name end

-- ------------------------------------------------------------------------------------------- fields and expert infos

local f = {}

local function field(kind, name, title, ...)
	f[name] = ProtoField[kind]("decree." .. name, title, ...)
end

field("uint16", "magic", "Magic", base.HEX)
field("uint8", "version", "Version")
field("uint8", "kind", "Kind", base.DEC, frame_kinds)
field("uint16", "src", "Source node")
field("uint16", "dst", "Target node")
field("uint8", "src_shard", "Source shard")
field("uint8", "dst_shard", "Target shard")
field("uint16", "payload_bytes", "Payload bytes")
field("uint32", "client", "Client's place")
field("uint64", "cluster", "Cluster", base.HEX)
field("uint64", "counter", "Counter")
field("bytes", "tag", "Tag (not checked)")

field("bytes", "hello.nonce", "Nonce")
field("bytes", "hello.echo", "Echo")
field("uint64", "hello.boot", "Boot count")
field("bytes", "hello.token", "Client's token")
field("bool", "hello.established", "Established", 8, nil, 1)
field("bool", "hello.confirmed", "Confirmed", 8, nil, 2)
field("uint8", "hello.version_min", "Lowest version spoken")
field("uint8", "hello.version_max", "Highest version spoken")
field("bytes", "hello.identity", "Identity")

field("uint8", "type", "Type", base.DEC, all_types)
field("uint8", "flag", "Flag")
field("uint16", "group", "Group")
field("uint32", "epoch", "Configuration epoch")
field("uint32", "body_bytes", "Body bytes")
field("uint64", "src_nonce", "Source's life", base.HEX)
field("uint64", "src_disk", "Source's disk", base.HEX)
field("string", "ballot", "Ballot")
field("uint64", "ballot.round", "Ballot's round")
field("uint16", "ballot.node", "Ballot's node")
field("uint16", "count", "Entries")

field("uint64", "slot", "Slot")
field("uint64", "start", "Start: first slot of this ballot's own")
field("uint64", "commit", "Commit index")
field("uint64", "from", "From slot")
field("uint64", "low", "Low: known below only by a snapshot")
field("uint64", "last", "Last slot")
field("uint64", "first", "First slot")
field("uint64", "after", "After: end of the range")
field("uint64", "snapshot", "Snapshot's slot")
field("uint64", "anchor", "Anchor's slot")
field("uint64", "train", "Slot of fragment 0")
field("uint64", "applied", "Applied slot")
field("bytes", "sack", "Durable beyond the range")
field("string", "promised", "Promised ballot")
field("string", "value_ballot", "Ballot of the value")
field("string", "found_promised", "Promised ballot on the disk at the start")
field("uint64", "found_last", "Last slot on the disk at the start")
field("uint64", "answers_nonce", "Answers the life", base.HEX)
field("uint64", "challenge", "Challenge", base.HEX)
field("uint64", "boot", "Boot count")
field("uint64", "seq", "Sequence number")
field("uint64", "token", "Token", base.HEX)
field("bytes", "token128", "Token")
field("bytes", "digest", "Digest")
field("uint8", "reason", "Reason", base.DEC, failure_reasons)
field("uint64", "state", "State", base.DEC, entry_states)
field("uint32", "entry_state", "State", base.DEC, entry_states)
field("uint16", "mark_node", "Node")
field("uint32", "mark_life", "Start count of that life")
field("uint64", "offset", "Offset")
field("uint64", "bytes64", "Bytes")
field("uint32", "bytes", "Bytes")
field("uint16", "bytes16", "Bytes")
field("bytes", "data", "Bytes held")

field("uint8", "value.kind", "Kind of value", base.DEC, value_kinds)
field("uint16", "value.commands", "Commands")
field("uint16", "value.run_commands", "Commands of the run")
field("uint64", "value.stamp", "Cluster time, ns")
field("uint64", "session", "Session")
field("uint64", "number", "Number in the session")
field("uint32", "part", "Fragment")
field("uint32", "part_count", "Fragments")
field("uint32", "total_bytes", "Bytes of the command")
field("uint8", "config.q1", "Quorum of elections")
field("uint8", "config.q2", "Quorum of commands")
field("uint16", "config.members", "Members")
field("uint8", "config.version", "Version of the cluster")
field("uint32", "mark_flags", "Flags of the mark", base.HEX)

field("uint16", "leader", "Leader")
field("uint16", "answering", "Answering node")
field("uint8", "reply.kind", "Kind of reply", base.DEC, reply_kinds)
field("uint16", "reply.status", "Status of the state machine")
field("uint64", "reply.result", "Result")
field("uint32", "redirect.reason", "Reason", base.DEC, redirect_reasons)
field("uint32", "redirect.retry_us", "Try again after, us")
field("uint32", "admin.op", "Operation", base.DEC, admin_ops)
field("uint16", "admin.status", "Status", base.DEC, admin_statuses)
field("string", "admin.text", "Text")
field("uint8", "read.consistency", "Consistency", base.DEC, { [0] = "Linearizable", [1] = "Lease", [2] = "Stale" })
field("uint8", "read.status", "Status", base.DEC, read_statuses)
field("uint16", "read.errno", "errno")
field("uint32", "log.slots", "Slots wanted")
field("uint16", "log.index", "Index in the slot")
field("uint16", "log.executed", "Executed")
field("uint16", "metrics.rows", "Values of the node")
field("uint16", "metrics.drops", "Counts of drops")
field("uint16", "metrics.peer_rows", "Values of a peer")

decree.fields = f

local x_malformed = ProtoExpert.new("decree.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
local x_cut = ProtoExpert.new("decree.cut", "Cut by the capture", expert.group.UNDECODED, expert.severity.NOTE)
local x_unknown = ProtoExpert.new("decree.unknown", "Not known here", expert.group.UNDECODED, expert.severity.WARN)
decree.experts = { x_malformed, x_cut, x_unknown }

-- ------------------------------------------------------------------------------------------- reading

-- What ends a frame: an expert info and its text.
local function stop(which, text)
	error({ expert = which, text = text }, 0)
end

-- Bytes [at, to) of a frame, of which the capture holds [0, held).
local Reader = {}
Reader.__index = Reader

local function reader(tvb, at, to)
	return setmetatable({ tvb = tvb, at = at, to = to, held = tvb:len() }, Reader)
end

function Reader:left()
	return self.to - self.at
end

function Reader:take(bytes, what)
	local at = self.at
	if bytes > self.to - at then
		stop(x_malformed, what .. " ends early: " .. bytes .. " bytes are needed, " .. (self.to - at) .. " are left")
	end
	if at + bytes > self.held then
		stop(x_cut, "the capture kept " .. self.held .. " bytes: " .. what .. " is not among them")
	end
	self.at = at + bytes
	return self.tvb(at, bytes)
end

-- A number into the tree; @return it, as a Lua number where that is exact enough to show
function Reader:number(tree, name, bytes)
	local range = self:take(bytes, name)
	tree:add_le(f[name], range)
	return bytes == 8 and range:le_uint64() or range:le_uint()
end

function Reader:bytes(tree, name, bytes)
	local range = self:take(bytes, name)
	if bytes > 0 then
		tree:add(f[name], range)
	end
	return range
end

function Reader:zeros(tree, bytes)
	local range = self:take(bytes, "zeros")
	for i = 0, bytes - 1 do
		if range(i, 1):uint() ~= 0 then
			tree:add_tvb_expert_info(x_malformed, range, "what must be zero is not")
			return
		end
	end
end

-- round:48 | node:16
function Reader:ballot(tree, name)
	local range = self:take(8, name)
	local ballot = range:le_uint64()
	local node = range(0, 2):le_uint()
	local text = tostring(ballot:rshift(16)) .. "." .. node
	local item = tree:add(f[name], range, text)
	if name == "ballot" then
		item:add(f["ballot.round"], range, ballot:rshift(16))
		item:add(f["ballot.node"], range, node)
	end
	return text
end

-- All of the payload, although the capture may have kept less.
function Reader:data(tree, name, bytes)
	if bytes > self.to - self.at then
		stop(x_malformed, name .. " ends early: " .. bytes .. " bytes are needed, " .. self:left() .. " are left")
	end
	local held = math.max(0, math.min(bytes, self.held - self.at))
	if held > 0 then
		tree:add(f[name], self.tvb(self.at, held))
	end
	self.at = self.at + bytes
end

-- ------------------------------------------------------------------------------------------- values of slots

-- Commands of one session, number by number. @return how many
local function read_run(r, tree, first)
	local begin = r.at
	local run = tree:add(decree, r:take(20, "commands from " .. first), "Run")
	r.at = begin
	local session = r:number(run, "session", 8)
	local number = r:number(run, "number", 8)
	local count = r:number(run, "value.run_commands", 2)
	local each = r:number(run, "bytes16", 2)
	local last = first + count - 1
	run:set_text((count == 1 and "Command " .. first or "Commands " .. first .. " to " .. last) .. ": session " ..
		tostring(session) .. ", number " .. tostring(number) .. (each == 65535 and "" or ", " .. each .. " bytes"))
	for _ = 1, count do
		local bytes = each
		if each == 65535 then
			bytes = r:number(run, "bytes16", 2)
		end
		r:data(run, "data", bytes)
	end
	if count == 0 then
		stop(x_malformed, "a run without commands")
	end
	return count
end

local function read_batch(r, tree, count)
	local first = 1
	while first <= count do
		first = first + read_run(r, tree, first)
	end
end

local function read_fragment(r, tree)
	local session = r:number(tree, "session", 8)
	r:number(tree, "number", 8)
	r:number(tree, "train", 8)
	local part = r:number(tree, "part", 4)
	local count = r:number(tree, "part_count", 4)
	r:number(tree, "total_bytes", 4)
	local bytes = r:number(tree, "bytes", 4)
	r:bytes(tree, "digest", 16)
	r:data(tree, "data", bytes)
	return "fragment " .. part .. " of " .. count .. ", session " .. tostring(session)
end

local function read_config(r, tree)
	local epoch = r:number(tree, "epoch", 4)
	local q1, q2 = r:number(tree, "config.q1", 1), r:number(tree, "config.q2", 1)
	local members = r:number(tree, "config.members", 2)
	r:bytes(tree, "data", 31)
	r:number(tree, "config.version", 1)
	r:data(tree, "data", r:left())
	return "configuration epoch " .. epoch .. ", " .. members .. " members, q1 " .. q1 .. ", q2 " .. q2
end

local function read_mark(r, tree)
	local flags = r:number(tree, "mark_flags", 4)
	r:zeros(tree, 4)
	r:number(tree, "anchor", 8)
	r:bytes(tree, "digest", 16)
	return flags % 2 == 1 and "mark, cut" or "mark"
end

-- @param bytes  of the value  @param seen  gets a few words as `value`, as soon as there are any
local function read_value(whole, tree, bytes, seen)
	if bytes > whole:left() then
		stop(x_malformed, "the value has " .. bytes .. " bytes, and " .. whole:left() .. " are left")
	end
	local begin = whole.at
	local r = reader(whole.tvb, begin, begin + bytes)
	whole.at = begin + bytes
	if begin >= r.held then
		stop(x_cut, "the capture kept nothing of the value")
	end
	local value = tree:add(decree, r.tvb(begin, math.min(bytes, r.held - begin)), "Value, " .. bytes .. " bytes")
	local kind = r:number(value, "value.kind", 1)
	seen.value = value_kinds[kind] or ("kind " .. kind)
	r:zeros(value, 1)
	local count = r:number(value, "value.commands", 2)
	r:zeros(value, 4)
	r:number(value, "value.stamp", 8)
	if kind == 2 then
		seen.value = count .. (count == 1 and " command" or " commands")
		read_batch(r, value, count)
	elseif kind == 3 then
		seen.value = read_fragment(r, value)
	elseif kind == 4 then
		seen.value = read_config(r, value)
	elseif kind == 5 then
		seen.value = read_mark(r, value)
	elseif value_kinds[kind] == nil then
		value:add_proto_expert_info(x_unknown, "no such kind of value")
		r:data(value, "data", r:left())
	end
	if r:left() > 0 then
		value:add_proto_expert_info(x_malformed, r:left() .. " bytes too many in the value")
	end
end

-- ------------------------------------------------------------------------------------------- messages between nodes

-- Each body field by field: the names of fields above, with what they are; then what is left, and the words of the info column.
local function slot(name) return { name, 8 } end
local function u64(name) return { name, 8 } end
local digest = { "digest", 16, "bytes" }
local function ballot(name) return { name, 8, "ballot" } end

-- u32 bytes | u32 0 | the value
local function tail_value(r, tree, seen)
	local bytes = r:number(tree, "bytes", 4)
	r:zeros(tree, 4)
	read_value(r, tree, bytes, seen)
end

local function tail_chunk(r, tree, seen)
	seen.bytes = r:number(tree, "bytes", 4)
	r:zeros(tree, 4)
	r:data(tree, "data", seen.bytes)
end

local function tail_entries(r, tree, seen)
	local at = seen.first
	while r:left() > 0 do
		local begin = r.at
		local entry = tree:add(decree, r:take(32, "entry"), "Entry of slot " .. tostring(at))
		r.at = begin
		local ballot_text = r:ballot(entry, "value_ballot")
		r:bytes(entry, "digest", 16)
		r:number(entry, "bytes", 4)
		local state = r:number(entry, "entry_state", 4)
		entry:append_text(": " .. (entry_states[state] or state) .. ", ballot " .. ballot_text)
		at = at + UInt64(1)
	end
end

local function tail_marks(r, tree)
	while r:left() > 0 do
		local begin = r.at
		local mark = tree:add(decree, r:take(14, "mark"), "Node")
		r.at = begin
		local node = r:number(mark, "mark_node", 2)
		local last = r:number(mark, "last", 8)
		r:number(mark, "mark_life", 4)
		mark:set_text("Node " .. node .. " accepted up to slot " .. tostring(last))
	end
end

local function range_text(first, after)
	if after <= first then
		return "no slots from " .. tostring(first)
	end
	local last = after - UInt64(1)
	return last == first and "slot " .. tostring(first) or "slots " .. tostring(first) .. "-" .. tostring(last)
end

local function answer_words(s)
	return s.flag == 1 and "granted" or (failure_reasons[s.reason] or tostring(s.reason))
end

local bodies = {
	[1] = { slot("first"), words = function(s) return "first undecided " .. tostring(s.first) end },
	[2] = { ballot("promised"), u64("answers_nonce"), { "reason", 1 },
		words = function(s) return answer_words(s) .. ", promised " .. s.promised end },
	[3] = { slot("from"), words = function(s) return "from slot " .. tostring(s.from) end },
	[4] = { u64("answers_nonce"), slot("from"), slot("low"), slot("commit"), slot("last"), slot("first"), slot("after"),
		tail = tail_entries,
		words = function(s) return range_text(s.first, s.after) .. " of up to " .. tostring(s.last) ..
			" commit " .. tostring(s.commit) .. (s.flag == 1 and ", in doubt" or "") end },
	[5] = { slot("slot"), slot("start"), slot("commit"), digest, tail = tail_value,
		words = function(s) return "slot " .. tostring(s.slot) .. " commit " .. tostring(s.commit) ..
			(s.value and " (" .. s.value .. ")" or "") end },
	[6] = { slot("start"), slot("after"), slot("commit"), { "sack", 32, "bytes" },
		words = function(s) return range_text(s.start, s.after) .. " commit " .. tostring(s.commit) end },
	[7] = { slot("start"), slot("commit"), words = function(s) return "commit " .. tostring(s.commit) end },
	[8] = { ballot("promised"), u64("answers_nonce"), slot("snapshot"), { "reason", 1 },
		words = function(s) return (failure_reasons[s.reason] or tostring(s.reason)) .. ", promised " .. s.promised end },
	[9] = { slot("start"), u64("seq"), words = function(s) return "start " .. tostring(s.start) ..
		(s.flag == 1 and ", stand at once" or "") end },
	[10] = { u64("seq"), slot("start"), slot("commit"), tail = tail_marks,
		words = function(s) return "number " .. tostring(s.seq) .. " commit " .. tostring(s.commit) end },
	[11] = { u64("seq"), u64("answers_nonce"), slot("commit"), ballot("promised"),
		words = function(s) return "number " .. tostring(s.seq) .. " commit " .. tostring(s.commit) end },
	[12] = { slot("first"), slot("after"), words = function(s) return range_text(s.first, s.after) end },
	[13] = { slot("slot"), ballot("value_ballot"), slot("commit"), { "state", 8 }, digest, tail = tail_value,
		words = function(s) return "slot " .. tostring(s.slot) .. " of ballot " .. s.value_ballot ..
			(s.value and " (" .. s.value .. ")" or "") end },
	[14] = { u64("token"), words = function(s) return "token " .. tostring(s.token) end },
	[15] = { u64("token"), u64("answers_nonce"), slot("slot"),
		words = function(s) return "token " .. tostring(s.token) .. " slot " .. tostring(s.slot) end },
	[16] = { slot("snapshot"), u64("bytes64"), slot("anchor"), digest,
		words = function(s) return "slot " .. tostring(s.snapshot) .. ", " .. tostring(s.bytes64) .. " bytes" end },
	[17] = { slot("snapshot"), u64("offset"), { "bytes", 4 },
		words = function(s) return "slot " .. tostring(s.snapshot) .. ", " .. s.bytes .. " bytes from " .. tostring(s.offset) end },
	[18] = { slot("snapshot"), u64("offset"), digest, tail = tail_chunk,
		words = function(s) return "slot " .. tostring(s.snapshot) .. ", " .. (s.bytes or "?") .. " bytes from " ..
			tostring(s.offset) end },
	[19] = { slot("slot"), digest, words = function(s) return "mark in slot " .. tostring(s.slot) ..
		(s.flag == 1 and ", and yours?" or "") end },
	[20] = { u64("challenge"), slot("commit"), words = function(s) return "commit " .. tostring(s.commit) end },
	[21] = { u64("challenge"), u64("answers_nonce"), u64("boot"), ballot("promised"), slot("last"), slot("commit"),
		ballot("found_promised"), slot("found_last"),
		words = function(s) return "boot " .. tostring(s.boot) .. ", promised " .. s.promised .. ", last " ..
			tostring(s.last) .. " commit " .. tostring(s.commit) end },
}

local function read_body(r, tree, row, seen)
	for _, spec in ipairs(row) do
		local name, bytes, kind = spec[1], spec[2], spec[3]
		if kind == "ballot" then
			seen[name] = r:ballot(tree, name)
		elseif kind == "bytes" then
			r:bytes(tree, name, bytes)
		else
			seen[name] = r:number(tree, name, bytes)
		end
	end
	seen.is_whole = true
	if row.tail then
		row.tail(r, tree, seen)
	end
	if r:left() > 0 then
		stop(x_malformed, r:left() .. " bytes too many in the message")
	end
end

-- What a message is, as far as it got, even if something ends it.
local function guarded(tree, read)
	local fine, why = pcall(read)
	if not fine then
		if type(why) ~= "table" then
			error(why, 0)
		end
		tree:add_proto_expert_info(why.expert, why.text)
	end
	return fine, why
end

local function read_message(whole, bytes, tree, infos)
	local begin = whole.at
	local r = reader(whole.tvb, begin, begin + bytes)
	local held = math.max(1, math.min(bytes, r.held - begin))
	local message = tree:add(decree, r.tvb(begin, held), "Message")
	local seen = {}
	local kind, name
	local fine, why = guarded(message, function()
		kind = r:number(message, "type", 1)
		name = message_types[kind] or ("type " .. kind)
		message:set_text(name)
		seen.flag = r:number(message, "flag", 1)
		seen.group = r:number(message, "group", 2)
		r:number(message, "epoch", 4)
		r:number(message, "src", 2)
		r:number(message, "dst", 2)
		local body = r:number(message, "body_bytes", 4)
		r:number(message, "src_nonce", 8)
		r:number(message, "src_disk", 8)
		seen.ballot = r:ballot(message, "ballot")
		if message_types[kind] == nil then
			stop(x_unknown, "no such type of message here: a newer decree.lua may know it")
		end
		if body ~= bytes - 40 then
			stop(x_malformed, "the header says " .. body .. " bytes of body, and there are " .. (bytes - 40))
		end
		read_body(r, message, bodies[kind], seen)
	end)
	whole.at = begin + bytes
	local info = (name or "?") .. (seen.ballot and seen.ballot ~= "0.0" and " ballot " .. seen.ballot or "")
	if seen.is_whole then
		info = info .. " " .. bodies[kind].words(seen)
	end
	if seen.group and seen.group > 0 then
		info = info .. " group " .. seen.group
	end
	message:set_text(info)
	if not fine and why.expert == x_malformed then
		info = info .. " [malformed]"
	end
	infos[#infos + 1] = info
end

local function read_bundle(r, tree, infos)
	tree:add(f.type, r:take(1, "type"))
	r:zeros(tree, 1)
	local count = r:number(tree, "count", 2)
	for i = 1, count do
		local bytes = r:number(tree, "bytes16", 2)
		if bytes > r:left() or bytes == 0 then
			stop(x_malformed, "message " .. i .. " of the bundle has " .. bytes .. " bytes, and " .. r:left() .. " are left")
		end
		if r.at >= r.held then
			stop(x_cut, "the capture kept " .. (i - 1) .. " of " .. count .. " messages")
		end
		read_message(r, bytes, tree, infos)
	end
	if r:left() > 0 then
		stop(x_malformed, r:left() .. " bytes behind the last message of the bundle")
	end
end

-- ------------------------------------------------------------------------------------------- messages of clients

-- Each reads what is behind the common 8 bytes, and returns words for the info column.
local client_bodies = {
	[64] = function(r, tree, count)
		for i = 1, count do
			local begin = r.at
			local command = tree:add(decree, r:take(20, "command " .. i), "Command " .. i)
			r.at = begin
			local session = r:number(command, "session", 8)
			local number = r:number(command, "number", 8)
			local bytes = r:number(command, "bytes", 4)
			command:append_text(": session " .. tostring(session) .. ", number " .. tostring(number) .. ", " .. bytes .. " bytes")
			r:data(command, "data", bytes)
		end
		return count .. (count == 1 and " command" or " commands")
	end,
	[65] = function(r, tree)
		local session = r:number(tree, "session", 8)
		local number = r:number(tree, "number", 8)
		local total = r:number(tree, "total_bytes", 4)
		local offset = r:number(tree, "bytes", 4)
		r:bytes(tree, "digest", 16)
		r:data(tree, "data", r:left())
		return "session " .. tostring(session) .. ", number " .. tostring(number) .. ", from " .. offset .. " of " .. total .. " bytes"
	end,
	[66] = function(r, tree, count)
		local words = {}
		for i = 1, count do
			local begin = r.at
			local reply = tree:add(decree, r:take(28, "reply " .. i), "Reply " .. i)
			r.at = begin
			local kind = r:number(reply, "reply.kind", 1)
			r:zeros(reply, 1)
			r:number(reply, "reply.status", 2)
			local session = r:number(reply, "session", 8)
			if kind == 2 or kind == 3 then
				r:bytes(reply, "token128", 16)
			else
				r:number(reply, "number", 8)
				r:number(reply, "reply.result", 8)
			end
			local name = reply_kinds[kind] or ("kind " .. kind)
			reply:append_text(": " .. name .. ", session " .. tostring(session))
			words[name] = (words[name] or 0) + 1
		end
		local list = {}
		for name, n in pairs(words) do
			list[#list + 1] = n .. " " .. name
		end
		table.sort(list)
		return table.concat(list, ", ")
	end,
	[67] = function(r, tree)
		local reason = r:number(tree, "redirect.reason", 4)
		r:number(tree, "redirect.retry_us", 4)
		return redirect_reasons[reason] or tostring(reason)
	end,
	[68] = function(r, tree) r:number(tree, "token", 8) return "" end,
	[69] = function(r, tree) r:number(tree, "token", 8) r:data(tree, "data", r:left()) return "" end,
	[70] = function(r, tree)
		r:number(tree, "token", 8)
		local first = r:number(tree, "first", 8)
		local slots = r:number(tree, "log.slots", 4)
		r:number(tree, "log.index", 2)
		r:zeros(tree, 2)
		return slots .. " slots from " .. tostring(first)
	end,
	[71] = function(r, tree, count)
		r:number(tree, "token", 8)
		r:number(tree, "applied", 8)
		r:number(tree, "after", 8)
		r:number(tree, "log.index", 2)
		r:zeros(tree, 6)
		for i = 1, count do
			local begin = r.at
			local entry = tree:add(decree, r:take(48, "entry " .. i), "Entry " .. i)
			r.at = begin
			entry:append_text(": slot " .. tostring(r:number(entry, "slot", 8)))
			r:number(entry, "log.index", 2)
			r:number(entry, "log.executed", 2)
			r:number(entry, "bytes", 4)
			r:number(entry, "session", 8)
			r:number(entry, "number", 8)
			r:bytes(entry, "digest", 16)
		end
		return count .. " entries"
	end,
	[72] = function(r, tree)
		r:number(tree, "token", 8)
		local op = r:number(tree, "admin.op", 4)
		r:zeros(tree, 4)
		r:bytes(tree, "data", 64)
		return admin_ops[op] or ("operation " .. op)
	end,
	[73] = function(r, tree)
		r:number(tree, "token", 8)
		local status = r:number(tree, "admin.status", 2)
		r:number(tree, "leader", 2)
		local bytes = r:number(tree, "bytes16", 2)
		r:zeros(tree, 2)
		local text = bytes > 0 and r:bytes(tree, "admin.text", bytes):string() or ""
		return (admin_statuses[status] or tostring(status)) .. ": " .. text
	end,
	[74] = function(r, tree)
		r:number(tree, "token", 8)
		r:number(tree, "read.consistency", 1)
		r:zeros(tree, 7)
		r:data(tree, "data", r:left())
		return ""
	end,
	[75] = function(r, tree)
		r:number(tree, "token", 8)
		local applied = r:number(tree, "applied", 8)
		local status = r:number(tree, "read.status", 1)
		r:zeros(tree, 1)
		r:number(tree, "read.errno", 2)
		r:zeros(tree, 4)
		r:data(tree, "data", r:left())
		return (read_statuses[status] or tostring(status)) .. " as of slot " .. tostring(applied)
	end,
	[76] = function(r, tree) r:number(tree, "token", 8) return "" end,
	[77] = function(r, tree)
		r:number(tree, "token", 8)
		r:number(tree, "metrics.rows", 2)
		r:number(tree, "metrics.drops", 2)
		r:number(tree, "metrics.peer_rows", 2)
		r:zeros(tree, 2)
		r:data(tree, "data", r:left())
		return ""
	end,
}

local function read_client(r, tree, infos)
	local kind = r:number(tree, "type", 1)
	local name = client_types[kind]
	infos[1] = name or ("type " .. kind)
	r:zeros(tree, 1)
	local group = r:number(tree, "group", 2)
	local count = r:number(tree, "count", 2)
	r:number(tree, (kind == 66 or kind == 67) and "leader" or "answering", 2)
	if name == nil then
		stop(x_unknown, "no such type of message here: a newer decree.lua may know it")
	end
	if count > 0 then
		infos[1] = name .. " " .. count
	end
	local words = client_bodies[kind](r, tree, count)
	if words ~= "" then
		infos[1] = name .. " " .. words
	end
	if group > 0 then
		infos[1] = infos[1] .. " group " .. group
	end
	if r:left() > 0 then
		stop(x_malformed, r:left() .. " bytes too many")
	end
end

-- ------------------------------------------------------------------------------------------- frames

local function read_hello(r, tree, infos)
	r:bytes(tree, "hello.nonce", 16)
	r:bytes(tree, "hello.echo", 16)
	local boot = r:number(tree, "hello.boot", 8)
	r:bytes(tree, "hello.token", 16)
	local flags = r:take(1, "flags")
	tree:add(f["hello.established"], flags)
	tree:add(f["hello.confirmed"], flags)
	infos[1] = "Handshake boot " .. tostring(boot) .. (flags:uint() % 2 == 1 and ", established" or "") ..
		(flags:uint() >= 2 and ", confirmed" or "")
	r:zeros(tree, 1)
	local bytes = r:number(tree, "bytes16", 2)
	r:number(tree, "hello.version_min", 1)
	r:number(tree, "hello.version_max", 1)
	r:zeros(tree, 2)
	r:data(tree, "hello.identity", bytes)
	if r:left() > 0 then
		stop(x_malformed, r:left() .. " bytes too many")
	end
end

local function end_name(node, client)
	return node ~= 0 and tostring(node) or "client " .. client % 1024
end

local function read_frame(tvb, tree, infos, header)
	local r = reader(tvb, 0, tvb:reported_len())
	if r:number(tree, "magic", 2) ~= 0xdec4 then
		stop(x_malformed, "this is no frame of decree: it begins with other bytes")
	end
	local version = r:number(tree, "version", 1)
	if version ~= 1 then
		stop(x_unknown, "version " .. version .. " of the frame: a newer decree.lua may know it")
	end
	local kind = r:number(tree, "kind", 1)
	local src = r:number(tree, "src", 2)
	local dst = r:number(tree, "dst", 2)
	r:number(tree, "src_shard", 1)
	r:number(tree, "dst_shard", 1)
	local bytes = r:number(tree, "payload_bytes", 2)
	local client = r:number(tree, "client", 4)
	header.ends = end_name(src, client) .. " > " .. end_name(dst, client)
	r:number(tree, "cluster", 8)
	r:number(tree, "counter", 8)
	r:bytes(tree, "tag", 16)
	if bytes ~= r:left() then
		stop(x_malformed, "the header says " .. bytes .. " bytes of payload, and there are " .. r:left())
	end
	if kind == 2 then
		read_hello(r, tree, infos)
	elseif kind ~= 1 then
		stop(x_malformed, "no such kind of frame")
	elseif bytes == 0 then
		stop(x_malformed, "a frame of data without data")
	else
		if r.at >= r.held then
			stop(x_cut, "the capture kept nothing of the payload")
		end
		local type = tvb(r.at, 1):uint()
		if type >= 64 then
			read_client(r, tree, infos)
		elseif type == BUNDLE then
			read_bundle(r, tree, infos)
		else
			read_message(r, bytes, tree, infos)
		end
	end
end

function decree.dissector(tvb, pinfo, root)
	if tvb:len() == 0 then
		return 0
	end
	local tree = root:add(decree, tvb())
	local infos, header = {}, {}
	pinfo.cols.protocol = "DECREE"
	local fine, why = guarded(tree, function() read_frame(tvb, tree, infos, header) end)
	if not fine and why.expert ~= x_cut then
		infos[#infos + 1] = "[" .. (why.expert == x_malformed and "malformed: " or "") .. why.text .. "]"
	end
	pinfo.cols.info = (header.ends and header.ends .. "  " or "") .. table.concat(infos, " | ")
	return tvb:len()
end

-- ------------------------------------------------------------------------------------------- which frames are ours

decree:register_heuristic("udp", function(tvb, pinfo, root)
	if tvb:len() < 4 or tvb(0, 2):le_uint() ~= 0xdec4 then
		return false
	end
	decree.dissector(tvb, pinfo, root)
	return true
end)

decree.prefs.ports = Pref.range("UDP ports", "", "All that goes to or from these is taken for decree's. Without any, frames are " ..
	"known by their first bytes", 65535)
local ports = decree.prefs.ports

function decree.prefs_changed()
	if ports ~= decree.prefs.ports then
		if ports ~= "" then DissectorTable.get("udp.port"):remove(ports, decree) end
		ports = decree.prefs.ports
		if ports ~= "" then DissectorTable.get("udp.port"):add(ports, decree) end
	end
end
