-- A quota by the generic cell rate algorithm, on the clock of the server. All times are microseconds.
--
-- KEYS[1]  a hash of
--   next     when a caller that never bursts would come next
--   paused   until when nobody gets a permit
--   now      when this was last written
--   granted  how many permits were granted, for who is curious
-- ARGV     "lease" interval capacity longest permits horizon known ahead
--          "give_back" interval capacity longest last count
--          "pause" interval capacity longest wait
-- where capacity is the interval times the burst, longest the longest pause, known what next was after the
-- caller was granted what it holds, and ahead how far that can be ahead of now at the most, whatever was done
-- to the clock.

local question, interval, capacity = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local longest = tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- A value that this script can't have written counts as lost: it would hold all callers until it is deleted.
-- The key is a hash of 128 bits, so that a value of another type is no other program's.
local lost = 0
local state = redis.pcall('HMGET', KEYS[1], 'next', 'paused', 'now')
if state.err and string.find(state.err, 'WRONGTYPE', 1, true) then
  redis.call('DEL', KEYS[1])
  state = {}
  lost = 1
end
if state.err then
  return state
end
-- Numbers are exact up to 2^53, and NaN is not equal to itself.
local function number(text, default)
  local value = text and tonumber(text)
  if value and value == value and math.abs(value) <= 2^53 then
    return value
  end
  if text then
    lost = 1
  end
  return default
end
local exists = state[1] and true or false
local next = number(state[1], now)
local paused = number(state[2], 0)
local back = number(state[3], now) - now
if back > 0 then
  -- The clock was set back, or is that of another machine. All that was ahead stays as far ahead.
  next = next - back
  paused = paused - back
end
if paused > now + longest then
  paused = 0
  lost = 1
end

local function save(granted)
  local ahead = math.max(next, paused) - now
  redis.call('HSET', KEYS[1], 'next', string.format('%.0f', next),
    'paused', string.format('%.0f', paused), 'now', string.format('%.0f', now))
  local counted = redis.pcall('HINCRBY', KEYS[1], 'granted', string.format('%.0f', granted))
  if type(counted) == 'table' and counted.err then
    redis.call('HSET', KEYS[1], 'granted', '0')
  end
  -- A minute more than it says anything, for clocks that are set back.
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(math.max(ahead, 0) / 1000) + 60000))
end

if question == 'pause' then
  paused = math.max(paused, now + tonumber(ARGV[5]))
  -- Nothing is saved up meanwhile.
  next = math.max(next, paused + capacity - interval)
  save(0)
  return {now, next - now}
end

if question == 'give_back' then
  local last, count = tonumber(ARGV[5]), tonumber(ARGV[6])
  -- Only what was granted last, and is still to come.
  if next == last + capacity and last > now then
    count = math.min(count, math.ceil((last - now) / interval))
    if paused > 0 then
      -- Still nothing is saved up over a pause.
      count = math.max(0, math.min(count, math.floor((next - paused - capacity + interval) / interval)))
    end
    next = next - count * interval
    save(-count)
  else
    count = 0
  end
  return {now, next - now, count}
end

local permits, horizon = tonumber(ARGV[5]), tonumber(ARGV[6])
-- Beyond the horizon each process is granted one permit at a time. With a thousand of them it is no further
-- ahead than this.
local furthest = math.max(now, paused) + capacity + horizon + 1000 * interval
if next > furthest then
  next = furthest
  lost = 1
end
local known = math.min(tonumber(ARGV[7]), now + tonumber(ARGV[8]))
if known > now and next < known then
  if lost == 0 then
    lost = exists and 2 or 1
  end
  next = known
end
-- Who asks for none wants to know whether it could be written.
if paused > now or permits == 0 then
  if lost > 0 or permits == 0 then
    save(0)
  end
  return {now, next - now, 0, 0, paused, lost}
end
next = math.max(next, now)
local first = next + interval - capacity
local granted = math.floor((now + horizon + capacity - next) / interval)
granted = math.max(1, math.min(granted, permits))
next = next + granted * interval
save(granted)
return {now, next - now, first, granted, 0, lost}
