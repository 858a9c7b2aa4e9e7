-- Reads JSON in the one way in which nobody can read it otherwise. Docker Engine takes the last of
-- two equal keys, and stops after the first value; such texts are refused here, not interpreted.

local json = {}

-- Stands for null, which a Lua table cannot hold.
json.null = setmetatable({}, { __tostring = function() return "null" end })

local MAX_DEPTH = 32
local ESCAPES = {
    ['"'] = '"', ["\\"] = "\\", ["/"] = "/",
    b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}

local value

local function fail(at, what)
    error({ json = string.format("no plain JSON: %s at byte %d", what, at) }, 0)
end

local function skip(text, at)
    return text:match("^[ \t\r\n]*()", at)
end

-- The code point of an escape \uXXXX, or of two that make one, and where they end.
local function code_point(text, at)
    local hex = text:match("^u(%x%x%x%x)", at) or fail(at, "an escape")
    local high, after = tonumber(hex, 16), at + 5
    if high >= 0xDC00 and high <= 0xDFFF then fail(at, "half a character") end
    if high < 0xD800 or high > 0xDBFF then return high, after end
    local low = tonumber(text:match("^\\u(%x%x%x%x)", after) or "0", 16)
    if low < 0xDC00 or low > 0xDFFF then fail(at, "half a character") end
    return 0x10000 + (high - 0xD800) * 0x400 + (low - 0xDC00), after + 6
end

local function quoted(text, at)
    local parts = {}
    at = at + 1
    while true do
        local plain, after = text:match('^([^"\\\0-\31]*)()', at)
        parts[#parts + 1] = plain
        local char = text:sub(after, after)
        if char == '"' then return table.concat(parts), after + 1 end
        if char ~= "\\" then fail(after, "a text without end") end
        local letter = text:sub(after + 1, after + 1)
        if ESCAPES[letter] then
            parts[#parts + 1], at = ESCAPES[letter], after + 2
        else
            local code
            code, at = code_point(text, after + 1)
            parts[#parts + 1] = utf8.char(code)
        end
    end
end

local function number(text, at)
    local digits = text:match("^-?%d+", at) or fail(at, "no value")
    if digits:match("^-?0%d") then fail(at, "a number that begins with 0") end
    local after = at + #digits
    local fraction = text:match("^%.%d+", after) or ""
    local exponent = text:match("^[eE][+-]?%d+", after + #fraction) or ""
    return tonumber(digits .. fraction .. exponent), after + #fraction + #exponent
end

-- Items of an array or an object, up to its end; `item` reads one.
local function items(text, at, close, item)
    at = skip(text, at + 1)
    if text:sub(at, at) == close then return at + 1 end
    while true do
        at = skip(text, item(at))
        local char = text:sub(at, at)
        if char == close then return at + 1 end
        if char ~= "," then fail(at, "neither a comma nor an end") end
        at = skip(text, at + 1)
    end
end

local function array(text, at, depth)
    local found = {}
    return found, items(text, at, "]", function(from)
        local after
        found[#found + 1], after = value(text, from, depth + 1)
        return after
    end)
end

local function object(text, at, depth)
    local found = {}
    return found, items(text, at, "}", function(from)
        if text:sub(from, from) ~= '"' then fail(from, "no key") end
        local key, after = quoted(text, from)
        if found[key] ~= nil then fail(from, "a second key of the same name") end
        after = skip(text, after)
        if text:sub(after, after) ~= ":" then fail(after, "no colon") end
        found[key], after = value(text, skip(text, after + 1), depth + 1)
        return after
    end)
end

function value(text, at, depth)
    if depth > MAX_DEPTH then fail(at, "too deep a nesting") end
    local char = text:sub(at, at)
    if char == "{" then return object(text, at, depth) end
    if char == "[" then return array(text, at, depth) end
    if char == '"' then return quoted(text, at) end
    for word, meaning in pairs({ ["true"] = true, ["false"] = false, null = json.null }) do
        if text:sub(at, at + #word - 1) == word then return meaning, at + #word end
    end
    return number(text, at)
end

-- The value of a text; nil and the reason when it is not JSON that has one meaning only.
function json.parse(text)
    if not utf8.len(text) then return nil, "no plain JSON: it is not UTF-8" end
    local ok, found, after = pcall(value, text, skip(text, 1), 0)
    if not ok then
        if type(found) == "table" then return nil, found.json end
        error(found)
    end
    if skip(text, after) <= #text then return nil, "no plain JSON: something follows it" end
    return found
end

-- Whether it says nothing: null, false, 0, and empty texts, arrays and objects.
function json.empty(found)
    return found == nil or found == json.null or found == false or found == 0 or found == ""
        or (type(found) == "table" and next(found) == nil)
end

local function exactly(one, other)
    if type(one) ~= "table" or type(other) ~= "table" then return one == other end
    for key, item in pairs(one) do
        if not exactly(item, other[key]) then return false end
    end
    for key in pairs(other) do
        if one[key] == nil then return false end
    end
    return true
end

-- Whether two values say the same, nothing or everything. Within a table what says nothing counts
-- too: by an empty text a tmpfs is mounted.
function json.same(one, other)
    if json.empty(one) or json.empty(other) then return json.empty(one) and json.empty(other) end
    return exactly(one, other)
end

return json
