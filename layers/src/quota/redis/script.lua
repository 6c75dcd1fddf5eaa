-- A quota by the generic cell rate algorithm, on the clock of the server. All times are microseconds.
--
-- KEYS[1]  a hash of
--   next     when a caller that never bursts would come next
--   paused   until when nobody gets a permit
--   now      when this was last written
--   granted  how many permits were granted, for who is curious
-- ARGV     "lease" interval capacity permits horizon known ahead
--          "give_back" interval capacity last count
--          "pause" interval capacity wait
-- where capacity is the interval times the burst, known what next was after the caller was granted what it
-- holds, and ahead how far that can be ahead of now at the most, whatever was done to the clock.

local question, interval, capacity = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local state = redis.pcall('HMGET', KEYS[1], 'next', 'paused', 'now')
if state.err then
  return state
end
for index = 1, 3 do
  if state[index] and not tonumber(state[index]) then
    return redis.error_reply('WRONGTYPE the hash at the key is no quota')
  end
end
local exists = state[1] and true or false
local next = tonumber(state[1] or now)
local paused = tonumber(state[2] or 0)
local back = tonumber(state[3] or now) - now
if back > 0 then
  -- The clock was set back, or is that of another machine. All that was ahead stays as far ahead.
  next = next - back
  paused = paused - back
end

local function save(granted)
  local ahead = math.max(next, paused) - now
  redis.call('HSET', KEYS[1], 'next', string.format('%.0f', next),
    'paused', string.format('%.0f', paused), 'now', string.format('%.0f', now))
  redis.call('HINCRBY', KEYS[1], 'granted', string.format('%.0f', granted))
  -- A minute more than it says anything, for clocks that are set back.
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(math.max(ahead, 0) / 1000) + 60000))
end

if question == 'pause' then
  paused = math.max(paused, now + tonumber(ARGV[4]))
  -- Nothing is saved up meanwhile.
  next = math.max(next, paused + capacity - interval)
  save(0)
  return {now, next - now}
end

if question == 'give_back' then
  local last, count = tonumber(ARGV[4]), tonumber(ARGV[5])
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

local permits, horizon = tonumber(ARGV[4]), tonumber(ARGV[5])
local known = math.min(tonumber(ARGV[6]), now + tonumber(ARGV[7]))
local lost = 0
if known > now and next < known then
  lost = exists and 2 or 1
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
