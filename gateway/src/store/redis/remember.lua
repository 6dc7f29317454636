-- Notes for how long whoever asks accepts tokens.
-- KEYS: the lives. ARGV[3..]: access_life, now. Returns {'remembered', the longest for which anybody does}.
return { 'remembered', longest(tonumber(ARGV[3]), tonumber(ARGV[4])) }
