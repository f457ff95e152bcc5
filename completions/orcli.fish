# Completion of orcli for fish.
# Written by `python -m orcli.reference` from the command tree; it starts no Python.

# Tell whether the command is the one that is named, or without a name whether there is none yet.
function __orcli_command
    set -l tokens (commandline -opc)
    test "$tokens[2]" = "$argv[1]"
end

function __orcli_models
    set -l cache $XDG_CACHE_HOME
    test -n "$cache"; or set cache ~/.cache
    echo local/smollm2
    test -r $cache/orcli/models; and string match '*' <$cache/orcli/models
end

function __orcli_media
    complete -C "'' "(commandline -ct) | string match -ri '^(?:[^\t]*(?:/|\.(?:png|jpg|jpeg|webp|gif|pdf|wav|mp3|flac|ogg|m4a)))(?=\t|$)'
end

# Complete what follows NAME= as the command line that is given, and that, would be.
function __orcli_after_equals
    set -l given (string match -r '^(?:--[\w-]+=)?([^=]+=)(.*)$' -- (commandline -ct)); or return
    for word in (complete -C $argv[1]$given[3])
        echo $given[2]$word
    end
end

complete -c orcli -f
complete -c orcli -n __orcli_command -a ask -d 'Ask one question and print the answer'
complete -c orcli -n __orcli_command -a stream -d 'Print the answer as it arrives'
complete -c orcli -n __orcli_command -a tool -d 'Let the model call tools, run here or left to the caller, and print its answer'
complete -c orcli -n __orcli_command -a vision -d 'Ask about images, documents and sound'
complete -c orcli -n __orcli_command -a batch -d 'Answer many requests, one a line, and print one result a line'
complete -c orcli -n __orcli_command -a models -d 'List the models there are'
complete -c orcli -n __orcli_command -l version -d 'Print the versions of orcli, openai and Python'
complete -c orcli -n __orcli_command -s h -l help -d 'Show this message and exit'

complete -c orcli -n '__orcli_command ask' -F
complete -c orcli -n '__orcli_command ask' -l json -d 'Print the API\'s own object in place of text'
complete -c orcli -n '__orcli_command ask' -l timeout -x -d 'Wall-clock limit, default 600; 0 is none'
complete -c orcli -n '__orcli_command ask' -l retries -x -d 'Tries after the first, default 2'
complete -c orcli -n '__orcli_command ask' -s v -l verbose -d 'Sum up model, tokens, cost and time on stderr'
complete -c orcli -n '__orcli_command ask' -s q -l quiet -d 'No warnings'
complete -c orcli -n '__orcli_command ask' -l env-file -r -F -d 'Read settings from this .env file'
complete -c orcli -n '__orcli_command ask' -s m -l model -x -a '(__orcli_models)' -d 'Model; repeat for fallbacks. local/NAME runs on this machine'
complete -c orcli -n '__orcli_command ask' -s s -l system -x -d 'System message'
complete -c orcli -n '__orcli_command ask' -l system-file -r -F -d 'System message from a file'
complete -c orcli -n '__orcli_command ask' -s p -l param -x -d 'Any other request field; VALUE is JSON, dots nest'
complete -c orcli -n '__orcli_command ask' -l max-tokens -x -d 'Longest answer, in tokens'
complete -c orcli -n '__orcli_command ask' -l temperature -x -d 'Sampling temperature, 0 to 2'
complete -c orcli -n '__orcli_command ask' -l schema -r -F -d 'JSON Schema to ask for and to check the answer against'
complete -c orcli -n '__orcli_command ask' -l dry-run -d 'Print the request body and send nothing'
complete -c orcli -n '__orcli_command ask' -l log -r -F -d 'Append one JSON line about each request'
complete -c orcli -n '__orcli_command ask' -l messages -r -F -d 'The whole conversation as JSON; - is standard input'
complete -c orcli -n '__orcli_command ask' -s c -l conversation -r -F -d 'Carry a conversation on in this file'
complete -c orcli -n '__orcli_command ask' -s x -l extract -d 'Print only the first fenced code block of the answer'
complete -c orcli -n '__orcli_command ask' -s n -l no-stdin -d 'Do not read standard input'
complete -c orcli -n '__orcli_command ask' -s h -l help -d 'Show this message and exit'

complete -c orcli -n '__orcli_command stream' -F
complete -c orcli -n '__orcli_command stream' -l json -d 'Print the API\'s own object in place of text'
complete -c orcli -n '__orcli_command stream' -l timeout -x -d 'Wall-clock limit, default 600; 0 is none'
complete -c orcli -n '__orcli_command stream' -l retries -x -d 'Tries after the first, default 2'
complete -c orcli -n '__orcli_command stream' -s v -l verbose -d 'Sum up model, tokens, cost and time on stderr'
complete -c orcli -n '__orcli_command stream' -s q -l quiet -d 'No warnings'
complete -c orcli -n '__orcli_command stream' -l env-file -r -F -d 'Read settings from this .env file'
complete -c orcli -n '__orcli_command stream' -s m -l model -x -a '(__orcli_models)' -d 'Model; repeat for fallbacks. local/NAME runs on this machine'
complete -c orcli -n '__orcli_command stream' -s s -l system -x -d 'System message'
complete -c orcli -n '__orcli_command stream' -l system-file -r -F -d 'System message from a file'
complete -c orcli -n '__orcli_command stream' -s p -l param -x -d 'Any other request field; VALUE is JSON, dots nest'
complete -c orcli -n '__orcli_command stream' -l max-tokens -x -d 'Longest answer, in tokens'
complete -c orcli -n '__orcli_command stream' -l temperature -x -d 'Sampling temperature, 0 to 2'
complete -c orcli -n '__orcli_command stream' -l schema -r -F -d 'JSON Schema to ask for and to check the answer against'
complete -c orcli -n '__orcli_command stream' -l dry-run -d 'Print the request body and send nothing'
complete -c orcli -n '__orcli_command stream' -l log -r -F -d 'Append one JSON line about each request'
complete -c orcli -n '__orcli_command stream' -l messages -r -F -d 'The whole conversation as JSON; - is standard input'
complete -c orcli -n '__orcli_command stream' -s c -l conversation -r -F -d 'Carry a conversation on in this file'
complete -c orcli -n '__orcli_command stream' -s x -l extract -d 'Print only the first fenced code block of the answer'
complete -c orcli -n '__orcli_command stream' -s n -l no-stdin -d 'Do not read standard input'
complete -c orcli -n '__orcli_command stream' -l idle-timeout -x -d 'Longest wait between data, default 120; 0 is none'
complete -c orcli -n '__orcli_command stream' -s h -l help -d 'Show this message and exit'

complete -c orcli -n '__orcli_command tool' -F
complete -c orcli -n '__orcli_command tool' -l json -d 'Print the API\'s own object in place of text'
complete -c orcli -n '__orcli_command tool' -l timeout -x -d 'Wall-clock limit, default 600; 0 is none'
complete -c orcli -n '__orcli_command tool' -l retries -x -d 'Tries after the first, default 2'
complete -c orcli -n '__orcli_command tool' -s v -l verbose -d 'Sum up model, tokens, cost and time on stderr'
complete -c orcli -n '__orcli_command tool' -s q -l quiet -d 'No warnings'
complete -c orcli -n '__orcli_command tool' -l env-file -r -F -d 'Read settings from this .env file'
complete -c orcli -n '__orcli_command tool' -s m -l model -x -a '(__orcli_models)' -d 'Model; repeat for fallbacks. local/NAME runs on this machine'
complete -c orcli -n '__orcli_command tool' -s s -l system -x -d 'System message'
complete -c orcli -n '__orcli_command tool' -l system-file -r -F -d 'System message from a file'
complete -c orcli -n '__orcli_command tool' -s p -l param -x -d 'Any other request field; VALUE is JSON, dots nest'
complete -c orcli -n '__orcli_command tool' -l max-tokens -x -d 'Longest answer, in tokens'
complete -c orcli -n '__orcli_command tool' -l temperature -x -d 'Sampling temperature, 0 to 2'
complete -c orcli -n '__orcli_command tool' -l schema -r -F -d 'JSON Schema to ask for and to check the answer against'
complete -c orcli -n '__orcli_command tool' -l dry-run -d 'Print the request body and send nothing'
complete -c orcli -n '__orcli_command tool' -l log -r -F -d 'Append one JSON line about each request'
complete -c orcli -n '__orcli_command tool' -l messages -r -F -d 'The whole conversation as JSON; - is standard input'
complete -c orcli -n '__orcli_command tool' -s c -l conversation -r -F -d 'Carry a conversation on in this file'
complete -c orcli -n '__orcli_command tool' -s x -l extract -d 'Print only the first fenced code block of the answer'
complete -c orcli -n '__orcli_command tool' -s n -l no-stdin -d 'Do not read standard input'
complete -c orcli -n '__orcli_command tool' -l idle-timeout -x -d 'Longest wait between data, default 120; 0 is none'
complete -c orcli -n '__orcli_command tool' -l stream -d 'Print the text as it arrives'
complete -c orcli -n '__orcli_command tool' -l tools -r -F -d 'Tool definitions: a JSON file, or a directory of NAME.json'
complete -c orcli -n '__orcli_command tool' -l exec -x -a '(__orcli_after_equals "")' -d 'The command that runs a function: JSON in, result out'
complete -c orcli -n '__orcli_command tool' -l result -x -d 'The result of a pending call, taken literally'
complete -c orcli -n '__orcli_command tool' -l result-file -x -a '(__orcli_after_equals "\'\' ")' -d 'The result of a pending call; - is standard input'
complete -c orcli -n '__orcli_command tool' -l tool-choice -x -a 'auto none required' -d 'Whether, or which function, the model calls'
complete -c orcli -n '__orcli_command tool' -l no-parallel -d 'At most one call a turn'
complete -c orcli -n '__orcli_command tool' -l max-rounds -x -d 'Most rounds of calls, default 10'
complete -c orcli -n '__orcli_command tool' -l max-cost -x -d 'Stop calling tools from this cost on'
complete -c orcli -n '__orcli_command tool' -l tool-timeout -x -d 'Longest run of a tool, default 60; 0 is none'
complete -c orcli -n '__orcli_command tool' -l strict -d 'Stop at the first call that fails'
complete -c orcli -n '__orcli_command tool' -l confirm -d 'Ask on the terminal before each call'
complete -c orcli -n '__orcli_command tool' -s h -l help -d 'Show this message and exit'

complete -c orcli -n '__orcli_command vision' -a '(__orcli_media)'
complete -c orcli -n '__orcli_command vision' -l json -d 'Print the API\'s own object in place of text'
complete -c orcli -n '__orcli_command vision' -l timeout -x -d 'Wall-clock limit, default 600; 0 is none'
complete -c orcli -n '__orcli_command vision' -l retries -x -d 'Tries after the first, default 2'
complete -c orcli -n '__orcli_command vision' -s v -l verbose -d 'Sum up model, tokens, cost and time on stderr'
complete -c orcli -n '__orcli_command vision' -s q -l quiet -d 'No warnings'
complete -c orcli -n '__orcli_command vision' -l env-file -r -F -d 'Read settings from this .env file'
complete -c orcli -n '__orcli_command vision' -s m -l model -x -a '(__orcli_models)' -d 'Model; repeat for fallbacks. local/NAME runs on this machine'
complete -c orcli -n '__orcli_command vision' -s s -l system -x -d 'System message'
complete -c orcli -n '__orcli_command vision' -l system-file -r -F -d 'System message from a file'
complete -c orcli -n '__orcli_command vision' -s p -l param -x -d 'Any other request field; VALUE is JSON, dots nest'
complete -c orcli -n '__orcli_command vision' -l max-tokens -x -d 'Longest answer, in tokens'
complete -c orcli -n '__orcli_command vision' -l temperature -x -d 'Sampling temperature, 0 to 2'
complete -c orcli -n '__orcli_command vision' -l schema -r -F -d 'JSON Schema to ask for and to check the answer against'
complete -c orcli -n '__orcli_command vision' -l dry-run -d 'Print the request body and send nothing'
complete -c orcli -n '__orcli_command vision' -l log -r -F -d 'Append one JSON line about each request'
complete -c orcli -n '__orcli_command vision' -l messages -r -F -d 'The whole conversation as JSON; - is standard input'
complete -c orcli -n '__orcli_command vision' -s c -l conversation -r -F -d 'Carry a conversation on in this file'
complete -c orcli -n '__orcli_command vision' -s x -l extract -d 'Print only the first fenced code block of the answer'
complete -c orcli -n '__orcli_command vision' -s n -l no-stdin -d 'Do not read standard input'
complete -c orcli -n '__orcli_command vision' -l idle-timeout -x -d 'Longest wait between data, default 120; 0 is none'
complete -c orcli -n '__orcli_command vision' -l stream -d 'Print the text as it arrives'
complete -c orcli -n '__orcli_command vision' -l detail -x -a 'low high auto' -d 'How closely the model looks at images'
complete -c orcli -n '__orcli_command vision' -l save -x -a '(__fish_complete_directories)' -d 'Keep images that the model makes here, and print their paths'
complete -c orcli -n '__orcli_command vision' -l short -d 'With --dry-run: shorten the base64'
complete -c orcli -n '__orcli_command vision' -s h -l help -d 'Show this message and exit'

complete -c orcli -n '__orcli_command batch' -F
complete -c orcli -n '__orcli_command batch' -l json -d 'Print result objects, as without it'
complete -c orcli -n '__orcli_command batch' -l timeout -x -d 'Wall-clock limit of the run, default none'
complete -c orcli -n '__orcli_command batch' -l retries -x -d 'Tries after the first, default 2'
complete -c orcli -n '__orcli_command batch' -s v -l verbose -d 'Sum up model, tokens, cost and time on stderr'
complete -c orcli -n '__orcli_command batch' -s q -l quiet -d 'No warnings'
complete -c orcli -n '__orcli_command batch' -l env-file -r -F -d 'Read settings from this .env file'
complete -c orcli -n '__orcli_command batch' -s m -l model -x -a '(__orcli_models)' -d 'Model; repeat for fallbacks. local/NAME runs on this machine'
complete -c orcli -n '__orcli_command batch' -s s -l system -x -d 'System message'
complete -c orcli -n '__orcli_command batch' -l system-file -r -F -d 'System message from a file'
complete -c orcli -n '__orcli_command batch' -s p -l param -x -d 'Any other request field; VALUE is JSON, dots nest'
complete -c orcli -n '__orcli_command batch' -l max-tokens -x -d 'Longest answer, in tokens'
complete -c orcli -n '__orcli_command batch' -l temperature -x -d 'Sampling temperature, 0 to 2'
complete -c orcli -n '__orcli_command batch' -l schema -r -F -d 'JSON Schema to ask for and to check the answer against'
complete -c orcli -n '__orcli_command batch' -l dry-run -d 'Print the requests as batch lines and send nothing'
complete -c orcli -n '__orcli_command batch' -l log -r -F -d 'Append one JSON line about each request'
complete -c orcli -n '__orcli_command batch' -l lines -x -d 'Each line is plain text, sent after PROMPT'
complete -c orcli -n '__orcli_command batch' -s o -l output -r -F -d 'Append results here as they finish; what is answered there is not asked again'
complete -c orcli -n '__orcli_command batch' -s j -l jobs -x -d 'Requests at once, default 8'
complete -c orcli -n '__orcli_command batch' -l unordered -d 'Print results as they finish, not in input order'
complete -c orcli -n '__orcli_command batch' -l max-cost -x -d 'Start no more requests from this cost on'
complete -c orcli -n '__orcli_command batch' -l request-timeout -x -d 'Limit for each request, default 600; 0 is none'
complete -c orcli -n '__orcli_command batch' -s h -l help -d 'Show this message and exit'

complete -c orcli -n '__orcli_command models' -l json -d 'Print the API\'s model objects, one a line'
complete -c orcli -n '__orcli_command models' -l timeout -x -d 'Wall-clock limit, default 600; 0 is none'
complete -c orcli -n '__orcli_command models' -l retries -x -d 'Tries after the first, default 2'
complete -c orcli -n '__orcli_command models' -s v -l verbose -d 'Sum up model, tokens, cost and time on stderr'
complete -c orcli -n '__orcli_command models' -s q -l quiet -d 'No warnings'
complete -c orcli -n '__orcli_command models' -l env-file -r -F -d 'Read settings from this .env file'
complete -c orcli -n '__orcli_command models' -l supports -x -d 'Only with this request field: tools …'
complete -c orcli -n '__orcli_command models' -l input -x -a 'text image file audio video' -d 'Only with this input'
complete -c orcli -n '__orcli_command models' -l free -d 'Only what costs nothing'
complete -c orcli -n '__orcli_command models' -l sort -x -a 'id price context created' -d 'Order, default id'
complete -c orcli -n '__orcli_command models' -s h -l help -d 'Show this message and exit'
