/// What the sessions of one model share beside its weights: findings and values that later requests need again.
public final class SharedState: Sendable {
  public let check = IncrementalCheck()
  let prompts = PromptCache()
  let sizeValues = SizeValueCache()

  public init() {}
}
