-- What a body says and whose a container is, HAProxy's own rules cannot tell: this decides about
-- each call to Docker Engine. docs/docker-gateway.md says what is allowed to whom.

local calls = require("guard.calls")

-- Parameters of a query; nil when one is there twice or is not plainly written.
local function parameters(text)
    local found = {}
    for part in text:gmatch("[^&]+") do
        local key, value = part:match("^([%w_]+)=([^=]*)$")
        if not key or found[key] or value:gsub("%%%x%x", ""):match("[^%w_.~*+%-/:@,]") then return nil end
        value = value:gsub("+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
        found[key] = value
    end
    return found
end

core.register_action("guard", { "http-req" }, function(txn, who)
    local query = parameters(txn.f:query() or "")
    local reason, status
    if query then
        local body = txn.f:req_body() or ""
        if #body ~= (tonumber(txn.f:req_hdr("content-length")) or 0) then
            reason, status = "the body is larger than any that launching runs needs", 413
        else
            reason, status = calls.refusal(who, txn.f:method(), txn.f:path(), query, body)
        end
    else
        reason, status = "a parameter is there twice, or is written in an uncommon way", 400
    end
    if reason then
        txn:set_var("txn.reason", reason)
        txn:set_var("txn.status", status or 403)
    else
        txn:set_var("txn.allowed", true)
    end
end, 1)
